package survey

import (
	"errors"
	"fmt"
	"os"
	"regexp"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/spola-cdc/spola/internal/intake"
	"github.com/spola-cdc/spola/internal/keys"
)

// shopFile is the shop file with the lines on which its entries stand. It is read leniently: what
// can't stand in it is found by the rules of intake.
type shopFile struct {
	intake.ShopFile

	path string
	ast  *ast.File
}

// openRate is a percentage that is still to be filled in: as a "?" it is no number, and would be told a second time. Lines stay where they are.
var openRate = regexp.MustCompile(`(\brate:[ \t]*)["']\?["']`)

// examineShopFile holds the shop file against its own rules, then against shop and ERP.
func (x *examination) examineShopFile() {
	x.file = &shopFile{path: x.Config.Shop.File}
	text, err := os.ReadFile(x.file.path)
	if err != nil {
		x.add(Blocking, "shop_file", 0, "can't be read: "+errors.Unwrap(err).Error(), "spola init writes one for your shop; deploy/shop.opencart.example.yaml is another to begin with")
		return
	}
	open, _ := intake.OpenQuestions(text) // what can't be parsed is told below
	for _, q := range open {
		x.add(Blocking, "open", q.Line, "is still to be filled in: "+q.Text, `put your answer in place of the "?"; behind it stands what speaks for which`)
	}
	var mistakes []*keys.Mistake
	x.file.ast, mistakes = keys.Read(openRate.ReplaceAll(text, []byte("${1}null")), &x.file.ShopFile)
	for _, m := range mistakes {
		mend := "deploy/shop.opencart.example.yaml explains each key"
		if m.Near != "" {
			mend = "did you mean " + m.Near + "?"
		}
		x.add(Blocking, "shop_file", m.Line, m.What, mend)
	}
	if len(mistakes) > 0 {
		return
	}
	if len(open) == 0 {
		if _, err := intake.ParseShopFile(text); err != nil {
			for _, one := range each(err) {
				x.add(Blocking, "shop_file", 0, one.Error(), "deploy/shop.opencart.example.yaml explains each key")
			}
		}
	}
	if x.file.Platform != "" && x.file.Platform != x.Config.Shop.Platform {
		x.add(Blocking, "platform", x.file.line("platform"), fmt.Sprintf("platform is %q, but shop.platform in %s is %q", x.file.Platform, x.File, x.Config.Shop.Platform), "write the same into both")
	}
	if x.shop == nil {
		return
	}
	for _, check := range []func(){x.checkStates, x.checkStatuses, x.checkTotals, x.checkTitles, x.checkPayments, x.checkFields, x.checkGroups, x.checkNatures, x.checkArticles} {
		check()
	}
}

// line is where the value of a path such as states[3] stands; 0 if it is not there.
func (f *shopFile) line(path string) int {
	if f.ast == nil {
		return 0
	}
	p, err := yaml.PathString("$." + path)
	if err != nil {
		return 0
	}
	node, err := p.FilterFile(f.ast)
	if err != nil || node == nil {
		return 0
	}
	return node.GetToken().Position.Line
}

// section is where a key of the file stands; 0 if it does not.
func (f *shopFile) section(key string) int {
	if f.ast == nil || len(f.ast.Docs) == 0 {
		return 0
	}
	if m, ok := f.ast.Docs[0].Body.(*ast.MappingNode); ok {
		for _, v := range m.Values {
			if v.Key.GetToken().Value == key {
				return v.Key.GetToken().Position.Line
			}
		}
	}
	return 0
}

// entry is where an entry of a map stands, whose key may be any text.
func (f *shopFile) entry(key, name string) int {
	p, err := yaml.PathString("$." + key)
	if err != nil || f.ast == nil {
		return 0
	}
	node, err := p.FilterFile(f.ast)
	if err != nil {
		return 0
	}
	switch m := node.(type) {
	case *ast.MappingNode:
		for _, v := range m.Values {
			if v.Key.GetToken().Value == name {
				return v.Key.GetToken().Position.Line
			}
		}
	case *ast.MappingValueNode:
		return m.Key.GetToken().Position.Line
	}
	return 0
}

// each splits what was joined.
func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
