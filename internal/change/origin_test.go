package change

import (
	"testing"

	"pgregory.net/rapid"
)

func position(t *rapid.T) Position {
	if rapid.Bool().Draw(t, "nothing read") {
		return Position{}
	}
	gtids := rapid.StringMatching(`([0-9a-f-]{1,36}:[0-9:,-]{1,20})?`)
	return Position{
		Incarnation: rapid.Int64Min(1).Draw(t, "incarnation"), Before: gtids.Draw(t, "before"), GTID: gtids.Draw(t, "gtid"),
		Row: rapid.Int64Min(0).Draw(t, "row"), End: rapid.Bool().Draw(t, "end"),
	}
}

// An owner of the log goes on from an origin's text: what is read must be what was written.
func TestOriginIsReadAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := Origin{Kind: rapid.SampledFrom([]Op{Create, Read, Claim, Heartbeat, Probe, Schema}).Draw(t, "kind"), Tx: position(t)}
		if o.Kind == Read {
			o.Run, o.Chunk, o.Item = rapid.Int64Min(1).Draw(t, "run"), rapid.Int64Min(1).Draw(t, "chunk"), rapid.Int64Min(0).Draw(t, "item")
		}
		if back, err := ParseOrigin(o.String()); err != nil || back != o {
			t.Fatalf("%+v became %q, and %+v, %v", o, o.String(), back, err)
		}
	})
}

func TestOriginThatIsNone(t *testing.T) {
	for _, text := range []string{
		"", " ", "tx", "tx 1", "tx 1 - g:1", "tx x - g:1 1", "tx 1 - g:1 x", "tx 1 - g:1 1 start", "tx 1 - g:1 1 end end",
		"chunk 1 2 tx 1 - g:1 1", "chunk 1 2 x tx 1 - g:1 1", "chunk 1 2 3", "claim", "fence tx 1 - g:1 1", "none none", "offset 12",
	} {
		if o, err := ParseOrigin(text); err == nil {
			t.Errorf("%q was taken for %+v", text, o)
		}
	}
}
