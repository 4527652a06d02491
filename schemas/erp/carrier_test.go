package erp_test

import (
	"regexp"
	"strings"
	"testing"
)

// Each carrier that has a link says where it was read, takes a number of its own, and puts it there; a number that can't be one of
// its own is kept, said, and has no link.
func TestCarriers(t *testing.T) {
	e := stocked(t)
	numbers := map[string][2]string{ // one that is right, one that is not
		"BRT": {"00201058513200", "BRT000017"}, "GLS": {"Y1 550012467", "GLS1"}, "POSTE": {"5P12A12345678", "1234"}, "SDA": {"282528I0000105433334", "282528"}, "INPOST": {"600123456789012345678901", `"><script>`},
		"DHL": {"3318810025", "331881002"}, "UPS": {"1Z 5R8 9390 35 7567 127", "2Z5R89390357567127"}, "FEDEX": {"986578788855", "98657878885"},
		"TNT": {"GD123456785WW", "1234567"}, "DPD": {"01234567890123", "012345678901234"}, "LAPOSTE": {"6A04296519970", "6A042"},
	}
	if missing := e.text(`select code from erp.carrier where link = '' order by 1`); missing != "" {
		t.Errorf("without a link: %q", missing)
	}
	if got := e.text(`select code from erp.carrier where pattern = '' or source !~ '^https://\S+( https?://\S+)?$'`); got != "" {
		t.Errorf("nobody says what their numbers look like, or where that was read: %s", got)
	}
	for code, n := range numbers {
		right := e.text(`select erp.tracking_link(c, $2), erp.tracking_flaw(c, $2) from erp.carrier c where code = $1`, code, n[0])
		if link, flaw, _ := strings.Cut(right, " "); !strings.HasPrefix(link, "https://") || !strings.Contains(link, strings.ReplaceAll(n[0], " ", "")) || flaw != "-" {
			t.Errorf("%s %s: %s", code, n[0], right)
		}
		wrong := e.text(`select erp.tracking_link(c, $2), erp.tracking_flaw(c, $2) from erp.carrier c where code = $1`, code, n[1])
		if !regexp.MustCompile(`(?s)^- tracking number .*` + regexp.QuoteMeta(n[1])).MatchString(wrong) {
			t.Errorf("%s %s: %s", code, n[1], wrong)
		}
	}
	if got := e.text(`select count(*) from erp.carrier where link <> ''`); got != "11" || len(numbers) != 11 {
		t.Errorf("%s carriers have links, %d are tried", got, len(numbers))
	}

	e.importOrders(order("a", item{1, 3}))
	e.exec(`select erp.ship_order(1, '{"1": 1}', carrier => 'BRT', tracking => 'BRT000017')`)
	e.exec(`select erp.ship_order(1, '{"1": 1}', carrier => 'BRT', tracking => '002010585132')`)
	e.exec(`insert into erp.carrier (code, name) values ('OWN', 'our own van')`)
	e.exec(`select erp.ship_order(1, '{"1": 1}', carrier => 'OWN', tracking => 'X 1')`)
	want := `BRT000017 - tracking number BRT000017 is none of BRT: theirs are like ^([0-9]{12}|[0-9]{14})$
002010585132 https://vas.brt.it/vas/sped_det_show.hsm?nspediz=002010585132 -
X 1 - -`
	if got := e.text(`select tracking, link, tracking_flaw from erp.shipments order by shipment_id`); got != want {
		t.Errorf("shipments:\n%s\nwant\n%s", got, want)
	}
}
