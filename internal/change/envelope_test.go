package change

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A flat row of the kinds of values that the log knows, as JSON, with its members in order.
func flatRow(t *rapid.T) (object []byte, names []string, values []json.RawMessage) {
	object = append(object, '{')
	seen := map[string]bool{}
	for range rapid.IntRange(0, 8).Draw(t, "members") {
		name := rapid.String().Draw(t, "name")
		if seen[name] {
			continue
		}
		seen[name] = true
		value := rapid.OneOf(
			rapid.Map(rapid.String(), func(s string) any { return s }),
			rapid.Map(rapid.Int64(), func(n int64) any { return n }),
			rapid.SampledFrom([]any{nil, true, false, `\`, `"`, `\"`, `\\`, "},{", `,"after":null`}),
		).Draw(t, "value")
		key, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if len(names) > 0 {
			object = append(object, ',')
		}
		object = append(append(append(object, key...), ':'), text...)
		names, values = append(names, string(key[1:len(key)-1])), append(values, text)
	}
	return append(object, '}'), names, values
}

func TestFieldsGivesEveryMember(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		object, names, values := flatRow(t)
		i := 0
		err := Fields(object, func(name, value []byte) error {
			if i >= len(names) || string(name) != names[i] || string(value) != string(values[i]) {
				return fmt.Errorf("member %d is %s: %s", i, name, value)
			}
			i++
			return nil
		})
		if err != nil || i != len(names) {
			t.Fatalf("%s: %d of %d members, %v", object, i, len(names), err)
		}
	})
}

func TestRowsAreFoundInTheEnvelope(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := [2][]byte{}
		for i := range want {
			if rapid.Bool().Draw(t, "present") {
				want[i], _, _ = flatRow(t)
			}
		}
		orNull := func(row []byte) []byte {
			if row == nil {
				return []byte("null")
			}
			return row
		}
		envelope := fmt.Appendf(nil, `{"before":%s,"after":%s,"source":{"table":"t"},"op":"u"}`, orNull(want[0]), orNull(want[1]))
		before, after, err := Rows(envelope)
		if err != nil || string(before) != string(want[0]) || string(after) != string(want[1]) {
			t.Fatalf("%s: before %s, after %s, %v", envelope, before, after, err)
		}
	})
}

// The number of the source's transaction is that of the source block, whatever a row is called or holds.
func TestSourceTx(t *testing.T) {
	for value, want := range map[string]int64{
		`{"before":null,"after":{"txId":7,"note":"\"txId\":8"},"source":{"db":"erp","txId":4294967295,"lsn":3},"op":"c","transaction":{"id":"1"}}`: 4294967295,
		`{"before":{"note":"\"txId\":8"},"after":null,"source":{"db":"erp"},"op":"d"}`:                                                             -1,
		`{"before":null,"after":null,"source":{"txId":null},"op":"r"}`:                                                                             -1,
	} {
		if got, ok := SourceTx([]byte(value)); ok != (want >= 0) || ok && got != want {
			t.Errorf("%s: %d, %v", value, got, ok)
		}
	}
}

// What names something is found by its column; null names nothing, and what is no whole number is told with its column.
func TestIDs(t *testing.T) {
	articles, orders := map[int64]bool{}, map[int64]bool{}
	into := func(column []byte) map[int64]bool {
		switch string(column) {
		case "article_id":
			return articles
		case "order_id":
			return orders
		}
		return nil
	}
	for _, row := range []string{
		`{"id":1,"article_id":7,"order_id":null,"note":"article_id"}`,
		`{"order_id":"18446744","article_id":-3,"quantity":"x"}`,
		`{}`,
	} {
		if err := IDs([]byte(row), into); err != nil {
			t.Errorf("%s: %v", row, err)
		}
	}
	if len(articles) != 2 || !articles[7] || !articles[-3] || len(orders) != 1 || !orders[18446744] {
		t.Errorf("articles %v, orders %v", articles, orders)
	}
	for _, row := range []string{`{"order_id":1.5}`, `{"order_id":"4711x"}`, `{"order_id":true}`, `{"order_id":""}`, `{"order_id":"18446744073709551615"}`} {
		if err := IDs([]byte(row), into); err == nil || !strings.Contains(err.Error(), "column order_id") {
			t.Errorf("%s: %v", row, err)
		}
	}
	if len(orders) != 1 {
		t.Errorf("orders %v", orders)
	}
}

func TestRowsThatAreNone(t *testing.T) {
	for _, text := range []string{
		"", "{}", `{"before":`, `{"before":null`, `{"before":null,"after":`, `{"before":null,"after":{`, `{"before":null,"after":{"a"`,
		`{"before":null,"after":{"a":`, `{"before":null,"after":{"a":1`, `{"before":null,"after":{"a":"`, `{"before":null,"after":{"a":"\"}`,
		`{"before":null,"after":{"a":}`, `{"before":null,"after":{a:1}}`, `{"before":nil,"after":null}`, `{"after":null,"before":null}`,
		`{ "before":null,"after":null}`, `{"before":[],"after":null}`,
	} {
		if before, after, err := Rows([]byte(text)); err == nil {
			t.Errorf("%s was taken: before %s, after %s", text, before, after)
		}
	}
	if err := Fields([]byte(`{"a":1}x`), func(_, _ []byte) error { return nil }); err == nil {
		t.Error("bytes behind the object were taken")
	}
}

// Hostile bytes end with an error, never with a crash or with members from outside the input.
func FuzzRows(f *testing.F) {
	f.Add([]byte(`{"before":null,"after":{"order_id":1,"name":"a\"b"},"source":{}}`))
	f.Add([]byte(`{"before":{"a":"\\"},"after":null`))
	f.Add([]byte(`{"before":{"":""},"after":{}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		before, after, err := Rows(value)
		if err != nil {
			return
		}
		for _, row := range [][]byte{before, after} {
			if row == nil {
				continue
			}
			size := 2
			if err := Fields(row, func(name, value []byte) error { size += len(name) + len(value); return nil }); err != nil {
				t.Fatalf("a row that Rows found is refused: %v", err)
			}
			if size > len(row) {
				t.Fatalf("members of %d bytes in a row of %d", size, len(row))
			}
		}
	})
}

func TestMessage(t *testing.T) {
	var claim ClaimMessage
	if err := Message([]byte(`{"op":"m","message":{"kind":"claim","generation":3}}`), &claim); err != nil || claim.Generation != 3 {
		t.Errorf("claim %+v, %v", claim, err)
	}
	for _, text := range []string{"", "{}", `{"message":null}x`, `{"message":[]}`} {
		if err := Message([]byte(text), &claim); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
}

// A key is JSON whatever the table is called.
func TestKeys(t *testing.T) {
	for _, table := range []string{"oc_order", `a"b`, `a\b`, "größe", "a b"} {
		key := RowKey(nil, table, []byte(`"order_id":42`))
		var back struct {
			Table string         `json:"table"`
			Key   map[string]int `json:"key"`
		}
		if err := json.Unmarshal(key, &back); err != nil || back.Table != table || back.Key["order_id"] != 42 {
			t.Errorf("%s: %+v, %v", key, back, err)
		}
	}
	if got := string(OwnKey(Claim)); got != `{"spola":"claim"}` {
		t.Errorf("own key %s", got)
	}
}
