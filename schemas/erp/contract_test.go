package erp_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/spola-cdc/spola/schemas"
)

func readContract(t *testing.T) (*schemas.Contract, string) {
	t.Helper()
	c, err := schemas.LoadContract()
	if err != nil {
		t.Fatal(err)
	}
	page, err := schemas.ERP.ReadFile("erp/contract.md")
	if err != nil {
		t.Fatal(err)
	}
	return c, string(page)
}

// The three descriptions of the contract agree: what programs read, what people read, what is there.
func TestContractAgrees(t *testing.T) {
	c, page := readContract(t)
	e := open(t)
	sections := sectionsOf(page)

	for name, fields := range c.Types {
		compare(t, e, "type "+name, name, fields)
		mentions(t, sections, name, fields)
	}
	for name, fields := range c.Views {
		compare(t, e, "view "+name, name, fields)
		mentions(t, sections, name, fields)
	}
	for name, types := range c.Functions {
		for i, each := range types {
			types[i] = "erp." + each + "[]"
		}
		got := e.text(`select string_agg(t::regtype::text, ', ' order by n) || ' -> ' || p.proretset || ' ' || p.prorettype::regtype
			from pg_proc p, unnest(p.proargtypes) with ordinality a(t, n)
			where p.pronamespace = 'erp'::regnamespace and p.proname = $1 group by p.oid, p.proretset, p.prorettype`, name)
		if want := strings.Join(types, ", ") + " -> true erp.result"; got != want {
			t.Errorf("function %s is %s in the database, %s in contract.yaml", name, got, want)
		}
		heading := name + "(" + strings.ReplaceAll(strings.Join(types, ", "), "erp.", "") + ")"
		if !strings.Contains(page, "### "+heading+"\n") {
			t.Errorf("contract.md has no heading %q", heading)
		}
	}
	for name, types := range c.Procedures {
		want := strings.Join(types, "[], ") + "[]"
		got := e.text("select pg_get_function_arguments(oid) || ' -> ' || pg_get_function_result(oid) from pg_proc where pronamespace = 'erp'::regnamespace and proname = $1", name)
		if arguments := regexp.MustCompile(`[a-z_]+ ([a-z]+\[\])`).ReplaceAllString(got, "$1"); arguments != want+" -> void" {
			t.Errorf("function %s is %s in the database, %s in contract.yaml", name, got, want)
		}
		if heading := name + "(" + want + ")"; !strings.Contains(page, "### "+heading+"\n") {
			t.Errorf("contract.md has no heading %q", heading)
		}
	}
	for _, reason := range c.Reasons {
		if !strings.Contains(sections["Reasons"], fmt.Sprintf("| `%s` | ", reason.Key)) {
			t.Errorf("contract.md does not explain reason %s", reason.Key)
		}
	}
	if n := strings.Count(sections["Reasons"], "| `"); n != len(c.Reasons)+1 {
		t.Errorf("contract.md has %d rows under Reasons, contract.yaml %d reasons", n-1, len(c.Reasons))
	}
	for _, p := range c.Publish {
		for _, expression := range []string{p.Article, p.Order} {
			if expression == "" {
				continue
			}
			if _, err := e.Exec(context.Background(), "select "+expression+"::bigint from erp."+p.Table+" limit 0"); err != nil {
				t.Errorf("publish %s: %v", p.Table, err)
			}
		}
	}
}

// Views must not write: a query of the law reads them in one snapshot.
func TestViewsUseNoVolatileFunction(t *testing.T) {
	e := open(t)
	got := e.text(`select v.oid::regclass, p.oid::regprocedure
		from pg_class v
		join pg_rewrite r on r.ev_class = v.oid
		join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_proc'::regclass
		join pg_proc p on p.oid = d.refobjid
		where v.relkind = 'v' and v.relnamespace = 'erp'::regnamespace and p.provolatile = 'v'`)
	if got != "" {
		t.Errorf("volatile functions in views:\n%s", got)
	}
}

func compare(t *testing.T, e *erp, what, name string, fields yaml.MapSlice) {
	t.Helper()
	var want []string
	for _, f := range fields {
		want = append(want, fmt.Sprintf("%s %s", f.Key, f.Value))
	}
	got := strings.Split(e.text(`select attname, atttypid::regtype::text from pg_attribute
		where attrelid = ('erp.' || $1)::regclass and attnum > 0 and not attisdropped order by attnum`, name), "\n")
	if !slices.Equal(got, want) {
		t.Errorf("%s\nin the database:  %v\nin contract.yaml: %v", what, got, want)
	}
}

// mentions wants every field in the section of its type or view, in order.
func mentions(t *testing.T, sections map[string]string, name string, fields yaml.MapSlice) {
	t.Helper()
	section, at := sections[name], 0
	for _, f := range fields {
		i := strings.Index(section[at:], fmt.Sprintf("`%s`", f.Key))
		if i < 0 {
			t.Errorf("contract.md, section %s: %s is missing or out of order", name, f.Key)
			return
		}
		at += i
	}
}

var heading = regexp.MustCompile(`(?m)^#+ (.+)$`)

func sectionsOf(page string) map[string]string {
	sections := map[string]string{}
	places := heading.FindAllStringSubmatchIndex(page, -1)
	for i, p := range places {
		end := len(page)
		if i+1 < len(places) {
			end = places[i+1][0]
		}
		sections[page[p[2]:p[3]]] = page[p[1]:end]
	}
	return sections
}
