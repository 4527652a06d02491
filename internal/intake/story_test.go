package intake

import (
	"fmt"
	"strings"

	"github.com/spola-cdc/spola/internal/change"
)

// story tells what the log says of an order, for a person who looks at a failure: "+order_product", "state 1>16", "tick".
func (l *testLog) story(order int64) string {
	var words []string
	for _, tx := range l.txs {
		word := ""
		for _, r := range tx {
			switch {
			case r.Table == "spola_marker" && strings.Contains(string(r.Key), "tick"):
				word = "tick"
			case r.Op == change.Update && r.Table == testPrefix+"order" && strings.Contains(string(r.Key), fmt.Sprintf(`"order_id":%d}`, order)):
				before, after, _ := change.Rows(r.Value)
				was, _ := field(before, "order_status_id")
				is, _ := field(after, "order_status_id")
				word = "state " + was + ">" + is
			case strings.Contains(string(r.Value), fmt.Sprintf(`"order_id":%d,`, order)):
				word = string(r.Op) + " " + strings.TrimPrefix(r.Table, testPrefix)
			}
		}
		if word != "" {
			words = append(words, word)
		}
	}
	return strings.Join(words, ", ")
}
