package change

import (
	"encoding/binary"
	"hash/crc64"
)

// CRC-64/ECMA as in hash/crc64, which takes a nanosecond a byte: with a checksum over every
// byte of every record, on both ends of the log, that would be a third of all the work. Here
// the processor's carry-less multiplication folds the bytes down to 16, where there is one.

// crcTables[i][b] is the remainder of the byte b with i zero bytes behind it.
var crcTables = makeTables()

func makeTables() *[8][256]uint64 {
	ecma := crc64.MakeTable(crc64.ECMA)
	tables := new([8][256]uint64)
	tables[0] = *ecma
	for b := range 256 {
		for i := 1; i < 8; i++ {
			before := tables[i-1][b]
			tables[i][b] = ecma[byte(before)] ^ before>>8
		}
	}
	return tables
}

// updateSum returns the checksum of what sum is the checksum of, with p behind it: the same as
// crc64.Update.
func updateSum(sum uint64, p []byte) uint64 {
	crc := ^sum
	if canFold && len(p) >= 64 {
		whole := len(p) &^ 15
		lo, hi := fold(crc, p[:whole])
		crc = eightBytes(eightBytes(lo) ^ hi)
		p = p[whole:]
	}
	for len(p) >= 8 {
		crc = eightBytes(crc ^ binary.LittleEndian.Uint64(p))
		p = p[8:]
	}
	for _, b := range p {
		crc = crcTables[0][byte(crc)^b] ^ crc>>8
	}
	return ^crc
}

// eightBytes returns the remainder of eight bytes, the first one lowest.
func eightBytes(b uint64) uint64 {
	t := crcTables
	return t[7][byte(b)] ^ t[6][byte(b>>8)] ^ t[5][byte(b>>16)] ^ t[4][byte(b>>24)] ^
		t[3][byte(b>>32)] ^ t[2][byte(b>>40)] ^ t[1][byte(b>>48)] ^ t[0][byte(b>>56)]
}
