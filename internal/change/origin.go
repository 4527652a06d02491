package change

import (
	"fmt"
	"strconv"
	"strings"
)

// Origin says where a record came from, and so where a new owner of the log goes on.
//
// Its text form is "tx <incarnation> <before> <gtid> <row>" and, on the last row of its
// transaction, " end". A record that is no row of a transaction names itself first and then
// repeats the last transaction's origin: "claim tx …", "heartbeat tx …", "schema tx …",
// "chunk <run> <chunk> <row> tx …". Whatever record stands last in the log, its origin
// therefore tells what has been read.
//
// A log that has not seen a transaction yet writes "none" in the place of "tx …".
type Origin struct {
	Kind Op // Create for a row of a transaction ("tx"), Read for a row of a snapshot ("chunk"), else the record's own op

	Run   int64 // snapshot run, chunk and row: Kind Read and Chunk only
	Chunk int64
	Item  int64

	Tx Position
}

// Position is a place in the source's own log: a row of a transaction.
type Position struct {
	Incarnation int64  // of the source, from 1; 0 means that nothing was read yet
	Before      string // executed GTIDs before the transaction, in the source's own form
	GTID        string // of the transaction
	Row         int64  // row images of the transaction that are done, from 1, counted before any filter
	End         bool   // the transaction is done
}

// IsZero tells whether nothing was read yet.
func (p Position) IsZero() bool { return p.Incarnation == 0 }

// String is the position as people read it in logs and messages.
func (p Position) String() string {
	if p.IsZero() {
		return "none"
	}
	return string(p.Append(nil))
}

// Append writes the text form behind dst.
func (p Position) Append(dst []byte) []byte {
	if p.IsZero() {
		return append(dst, "none"...)
	}
	dst = append(dst, "tx "...)
	dst = strconv.AppendInt(dst, p.Incarnation, 10)
	dst = append(dst, ' ')
	dst = append(dst, orDash(p.Before)...)
	dst = append(dst, ' ')
	dst = append(dst, orDash(p.GTID)...)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, p.Row, 10)
	if p.End {
		dst = append(dst, " end"...)
	}
	return dst
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// String is the origin as it stands in the record's header.
func (o Origin) String() string {
	switch o.Kind {
	case Create:
		return o.Tx.String()
	case Read:
		return fmt.Sprintf("chunk %d %d %d %s", o.Run, o.Chunk, o.Item, o.Tx)
	default:
		return string(o.Kind) + " " + o.Tx.String()
	}
}

// ParseOrigin reads what Origin.String wrote.
func ParseOrigin(text string) (Origin, error) {
	words := strings.Fields(text)
	bad := func() (Origin, error) { return Origin{}, fmt.Errorf("origin %q: not one of Spola's", text) }
	if len(words) == 0 {
		return bad()
	}
	o := Origin{Kind: Create}
	switch words[0] {
	case "tx", "none":
	case "chunk":
		o.Kind = Read
		if len(words) < 5 {
			return bad()
		}
		var errs [3]error
		o.Run, errs[0] = strconv.ParseInt(words[1], 10, 64)
		o.Chunk, errs[1] = strconv.ParseInt(words[2], 10, 64)
		o.Item, errs[2] = strconv.ParseInt(words[3], 10, 64)
		if errs != [3]error{} {
			return bad()
		}
		words = words[4:]
	case string(Claim), string(Heartbeat), string(Probe), string(Schema):
		o.Kind = Op(words[0])
		words = words[1:]
	default:
		return bad()
	}
	var err error
	if o.Tx, err = parsePosition(words); err != nil {
		return bad()
	}
	return o, nil
}

func parsePosition(words []string) (Position, error) {
	var p Position
	if len(words) == 1 && words[0] == "none" {
		return p, nil
	}
	if len(words) != 5 && len(words) != 6 || words[0] != "tx" {
		return p, fmt.Errorf("want tx, incarnation, before, gtid, row")
	}
	var err error
	if p.Incarnation, err = strconv.ParseInt(words[1], 10, 64); err != nil {
		return p, err
	}
	if p.Row, err = strconv.ParseInt(words[4], 10, 64); err != nil {
		return p, err
	}
	p.Before, p.GTID = fromDash(words[2]), fromDash(words[3])
	if len(words) == 6 {
		if words[5] != "end" {
			return p, fmt.Errorf("%q behind the row", words[5])
		}
		p.End = true
	}
	return p, nil
}

func fromDash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}
