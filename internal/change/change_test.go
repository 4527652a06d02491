package change

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// The sums are those of a bit-by-bit CRC-64/XZ in another language, over the fields as NextSum
// describes them. They stand on other people's disks: if this test fails, the code is wrong.
func TestSumIsPinned(t *testing.T) {
	sum := uint64(0)
	for i, step := range []struct {
		record Record
		want   uint64
	}{
		{Record{Seq: 1, Gen: 1, Time: 1764043200000, Key: []byte(`{"spola":"claim"}`), Value: []byte(`{"before":null,"after":null,"op":"m"}`), Origin: "claim none"}, 0xa14b68758eb5f7d8},
		{Record{Seq: 2, Gen: 1, Time: -1, Key: []byte(`{"table":"oc_order","key":{"order_id":42}}`), Value: []byte(`{"before":null,"after":{"order_id":42,"name":"Niccolò"},"op":"c"}`), Origin: "tx 1 a:1-2 a:3 1 end"}, 0xb59dbcbf985ff459},
		{Record{Seq: 3, Gen: 1}, 0x1665a03024426b44},
	} {
		if sum = step.record.NextSum(sum); sum != step.want {
			t.Fatalf("step %d: sum %x, want %x", i+1, sum, step.want)
		}
	}
	long := Record{Seq: 1, Gen: 2, Time: 5, Key: bytes.Repeat([]byte("k"), 300), Value: bytes.Repeat([]byte("v"), 5000), Origin: string(bytes.Repeat([]byte("o"), 400))}
	if sum := long.NextSum(0); sum != 0x920b22aa5be6813d {
		t.Errorf("long fields: sum %x", sum)
	}
}

func record(t *rapid.T) Record {
	return Record{
		Seq: rapid.Int64Min(1).Draw(t, "seq"), Gen: rapid.Int64Min(1).Draw(t, "gen"), Time: rapid.Int64().Draw(t, "time"),
		Key: rapid.SliceOf(rapid.Byte()).Draw(t, "key"), Value: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "value"),
		Origin: rapid.StringN(0, 80, 300).Draw(t, "origin"),
	}
}

// A byte that moves from one field to its neighbour, or any change of a field, changes the sum.
func TestSumTellsFieldsApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, before := record(t), rapid.Uint64().Draw(t, "before")
		sum := r.NextSum(before)
		if sum == r.NextSum(before+1) {
			t.Fatal("the sum before does not count")
		}
		for name, change := range map[string]func(r *Record){
			"seq":  func(r *Record) { r.Seq++ },
			"gen":  func(r *Record) { r.Gen++ },
			"time": func(r *Record) { r.Time++ },
			"key":  func(r *Record) { r.Key = append(append([]byte(nil), r.Key...), 0) },
			"move": func(r *Record) {
				all := append(append([]byte(nil), r.Key...), r.Value...)
				at := len(r.Key) + 1
				if at > len(all) {
					at = len(r.Key) - 1
				}
				if at < 0 {
					r.Seq++ // nothing to move
					return
				}
				r.Key, r.Value = all[:at], all[at:]
			},
			"origin": func(r *Record) { r.Origin += " " },
		} {
			other := r
			change(&other)
			if other.NextSum(before) == sum {
				t.Fatalf("another %s gives the same sum", name)
			}
		}
	})
}

func TestSumText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sum := rapid.Uint64().Draw(t, "sum")
		text := FormatSum(sum)
		if back, err := ParseSum(text); err != nil || back != sum || len(text) != 16 {
			t.Fatalf("%x became %q, and %x, %v", sum, text, back, err)
		}
	})
	for _, text := range []string{"", "0", "00000000000000000", "000000000000000g", "+000000000000001", " 00000000000001f"} {
		if sum, err := ParseSum(text); err == nil {
			t.Errorf("%q was taken for %x", text, sum)
		}
	}
}
