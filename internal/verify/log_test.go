package verify_test

import (
	"iter"
	"strings"
	"testing"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/verify"
)

// writeLog is a sound log of two generations, a fence in each.
func writeLog() []verify.LogRecord {
	var log []verify.LogRecord
	for gen := int64(1); gen <= 2; gen++ {
		log = append(log, verify.LogRecord{Offset: int64(len(log)), Fence: true})
		var sum uint64
		for seq := int64(1); seq <= 4; seq++ {
			r := change.Record{Seq: seq, Gen: gen, Time: 1_764_000_000_000 + seq, Origin: "tx 1 - g 1 end",
				Key: []byte(`{"table":"oc_order"}`), Value: []byte(`{"before":null}`)}
			sum = r.NextSum(sum)
			log = append(log, verify.LogRecord{Offset: int64(len(log)), Seq: seq, Gen: gen, Time: r.Time,
				Key: r.Key, Value: r.Value, Origin: r.Origin, Sum: change.FormatSum(sum)})
		}
	}
	return log
}

func records(log []verify.LogRecord) iter.Seq2[verify.LogRecord, error] {
	return func(yield func(verify.LogRecord, error) bool) {
		for _, r := range log {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func TestCheckLog(t *testing.T) {
	report, err := verify.CheckLog(records(writeLog()))
	if err != nil {
		t.Fatal(err)
	}
	if want := (verify.LogReport{Records: 8, Fences: 2, Generations: 2, LastSeq: 4}); report != want {
		t.Errorf("report %+v, want %+v", report, want)
	}
	for name, c := range map[string]struct {
		spoil func([]verify.LogRecord) []verify.LogRecord
		want  string
	}{
		"hole":        {func(l []verify.LogRecord) []verify.LogRecord { return append(l[:2], l[3:]...) }, "number 3 of generation 1 stands behind 1"},
		"repeat":      {func(l []verify.LogRecord) []verify.LogRecord { return append(l[:3], l[2:]...) }, "number 2 of generation 1 stands behind 2"},
		"no start":    {func(l []verify.LogRecord) []verify.LogRecord { return l[2:] }, "stands behind 0 of 1"},
		"other value": {func(l []verify.LogRecord) []verify.LogRecord { l[3].Value = []byte(`{"before":nulL}`); return l }, "number 3 of generation 1 has sum"},
		"other time":  {func(l []verify.LogRecord) []verify.LogRecord { l[4].Time++; return l }, "number 4 of generation 1 has sum"},
		"old again":   {func(l []verify.LogRecord) []verify.LogRecord { return append(l, l[4]) }, "of generation 1 stands behind"},
	} {
		_, err := verify.CheckLog(records(c.spoil(writeLog())))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
