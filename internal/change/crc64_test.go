package change

import (
	"hash/crc64"
	"math/rand/v2"
	"testing"
)

// The reference is hash/crc64: any length, any alignment, any sum before.
func TestSumIsThatOfTheStandardLibrary(t *testing.T) {
	table := crc64.MakeTable(crc64.ECMA)
	random := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 4096)
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	for size := range 1200 {
		from := random.IntN(64)
		before := random.Uint64()
		p := data[from : from+size]
		if got, want := updateSum(before, p), crc64.Update(before, table, p); got != want {
			t.Fatalf("%d bytes: sum %x, want %x", size, got, want)
		}
	}
}

func FuzzSum(f *testing.F) {
	table := crc64.MakeTable(crc64.ECMA)
	f.Add(uint64(0), []byte("spola"))
	f.Fuzz(func(t *testing.T, before uint64, p []byte) {
		if got, want := updateSum(before, p), crc64.Update(before, table, p); got != want {
			t.Fatalf("sum %x, want %x", got, want)
		}
	})
}
