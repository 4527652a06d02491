package change

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// A record's value is Debezium's envelope in JSON without inline schema, its members always
// in this order and without white space between them:
//
//	{"before":R,"after":R,"source":{…},"op":"c","ts_ms":N,"ts_us":N,
//	 "transaction":{"id":"…","total_order":N,"data_collection_order":N}}
//
// R is null or a flat object of the captured columns. Spola's own records have null rows, op
// "m", and a last member "message" with their payload. The last row of a transaction has
// "anchor" in its transaction block: the checksum by which the transaction is known again.
// A row too big for the log carries only its key columns in R and a last member "stub".

// RowKey writes a row's key: the table and its primary key. columns are the key's members
// already in JSON, such as `"order_id":42`.
func RowKey(dst []byte, table string, columns []byte) []byte {
	dst = append(dst, `{"table":`...)
	dst = strconv.AppendQuote(dst, table)
	dst = append(dst, `,"key":{`...)
	dst = append(dst, columns...)
	return append(dst, "}}"...)
}

// OwnKey writes the key of one of Spola's own records.
func OwnKey(kind Op) []byte { return []byte(`{"spola":"` + string(kind) + `"}`) }

// Rows returns the row objects before and after of an envelope; nil stands for null.
func Rows(value []byte) (before, after []byte, err error) {
	rest, ok := bytes.CutPrefix(value, []byte(`{"before":`))
	if !ok {
		return nil, nil, fmt.Errorf("envelope does not begin with before")
	}
	if before, rest, err = rowObject(rest); err != nil {
		return nil, nil, fmt.Errorf("envelope: before: %w", err)
	}
	if rest, ok = bytes.CutPrefix(rest, []byte(`,"after":`)); !ok {
		return nil, nil, fmt.Errorf("envelope: no after behind before")
	}
	if after, _, err = rowObject(rest); err != nil {
		return nil, nil, fmt.Errorf("envelope: after: %w", err)
	}
	return before, after, nil
}

// SourceTx is the number that the source's own log gives a record's transaction, txId of the source block; false where it gives none.
func SourceTx(value []byte) (id int64, ok bool) {
	const name = `"txId":`
	at := bytes.LastIndex(value, []byte(name)) // rows come before the source block, and what follows it has no such member
	if at < 0 {
		return 0, false
	}
	digits := value[at+len(name):]
	end := 0
	for end < len(digits) && digits[end] >= '0' && digits[end] <= '9' {
		end++
	}
	id, err := strconv.ParseInt(string(digits[:end]), 10, 64)
	return id, err == nil
}

func rowObject(text []byte) (object, rest []byte, err error) {
	if rest, ok := bytes.CutPrefix(text, []byte("null")); ok {
		return nil, rest, nil
	}
	end := 0
	err = scanObject(text, func(_, _ []byte) error { return nil }, &end)
	if err != nil {
		return nil, nil, err
	}
	return text[:end], text[end:], nil
}

// Fields calls each with every member of a flat row object, in order. name is without its
// quotes, value is raw JSON: a quoted string, a number, true, false or null.
func Fields(object []byte, each func(name, value []byte) error) error {
	end := 0
	if err := scanObject(object, each, &end); err != nil {
		return err
	}
	if end != len(object) {
		return fmt.Errorf("%d bytes behind the row object", len(object)-end)
	}
	return nil
}

// IDs adds the whole numbers that columns of a flat row object hold to sets: into says to which, nil for columns that are not
// asked for. A null names nothing. A number may stand in quotes, as unsigned 64-bit ones do.
func IDs(object []byte, into func(column []byte) map[int64]bool) error {
	return Fields(object, func(name, value []byte) error {
		set := into(name)
		if set == nil || string(value) == "null" {
			return nil
		}
		id, err := strconv.ParseInt(string(bytes.Trim(value, `"`)), 10, 64)
		if err != nil {
			return fmt.Errorf("column %s: %w", name, err)
		}
		set[id] = true
		return nil
	})
}

func scanObject(text []byte, each func(name, value []byte) error, end *int) error {
	if len(text) < 2 || text[0] != '{' {
		return fmt.Errorf("row object does not begin with {")
	}
	i := 1
	if text[i] == '}' {
		*end = 2
		return nil
	}
	for {
		nameEnd, err := stringEnd(text, i)
		if err != nil {
			return err
		}
		name := text[i+1 : nameEnd-1]
		i = nameEnd
		if i >= len(text) || text[i] != ':' {
			return fmt.Errorf("member %q has no value", name)
		}
		valueEnd, err := scalarEnd(text, i+1)
		if err != nil {
			return fmt.Errorf("member %q: %w", name, err)
		}
		if err := each(name, text[i+1:valueEnd]); err != nil {
			return err
		}
		i = valueEnd
		if i >= len(text) {
			return fmt.Errorf("row object has no end")
		}
		switch text[i] {
		case ',':
			i++
		case '}':
			*end = i + 1
			return nil
		default:
			return fmt.Errorf("byte %q behind member %q", text[i], name)
		}
	}
}

// scalarEnd returns the index behind the JSON scalar that begins at i.
func scalarEnd(text []byte, i int) (int, error) {
	if i < len(text) && text[i] == '"' {
		return stringEnd(text, i)
	}
	start := i
	for i < len(text) && text[i] != ',' && text[i] != '}' {
		i++
	}
	if i == start {
		return 0, fmt.Errorf("no value")
	}
	return i, nil
}

// stringEnd returns the index behind the JSON string that begins at i.
func stringEnd(text []byte, i int) (int, error) {
	if i >= len(text) || text[i] != '"' {
		return 0, fmt.Errorf("no string at byte %d of the row object", i)
	}
	for i++; i < len(text); i++ {
		next := bytes.IndexByte(text[i:], '"')
		if next < 0 {
			break
		}
		i += next
		slashes := 0
		for text[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i + 1, nil
		}
	}
	return 0, fmt.Errorf("string without end in the row object")
}

// Message reads the payload of one of Spola's own records, such as a ClaimMessage, into into.
func Message(value []byte, into any) error {
	var envelope struct {
		Message json.RawMessage `json:"message"`
	}
	if err := json.Unmarshal(value, &envelope); err != nil {
		return fmt.Errorf("envelope: %w", err)
	}
	if len(envelope.Message) == 0 {
		return fmt.Errorf("envelope has no message")
	}
	if err := json.Unmarshal(envelope.Message, into); err != nil {
		return fmt.Errorf("envelope: message: %w", err)
	}
	return nil
}
