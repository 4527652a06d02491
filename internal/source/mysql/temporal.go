package mysql

import (
	"encoding/binary"
	"fmt"
)

// appendTemporal writes dates and times as package change fixes them.
func appendTemporal(dst []byte, c *column, data []byte) ([]byte, error) {
	dst = append(dst, '"')
	switch c.kind {
	case kindDate:
		v := uint32(littleEndian(data))
		dst = appendDate(dst, v>>9, v>>5&15, v&31)
	case kindDatetime2:
		dst = appendPackedDatetime(dst, bigEndian(data[:5])-1<<39)
		dst = appendFraction(dst, bigEndian(data[5:]), len(data)-5, c.fraction)
	case kindTimestamp2:
		dst = appendUnix(dst, binary.BigEndian.Uint32(data))
		dst = appendFraction(dst, bigEndian(data[4:]), len(data)-4, c.fraction)
		dst = append(dst, 'Z')
	case kindTime2:
		dst = appendTime(dst, data, c.fraction)
	case kindOldDatetime:
		v := binary.LittleEndian.Uint64(data)
		day, clock := uint32(v/1000000), uint32(v%1000000)
		dst = append(appendDate(dst, day/10000, day/100%100, day%100), 'T')
		dst = appendClock(dst, clock/10000, clock/100%100, clock%100)
	case kindOldTimestamp:
		dst = append(appendUnix(dst, binary.LittleEndian.Uint32(data)), 'Z')
	case kindOldTime:
		v := int32(littleEndian(data)<<8) >> 8
		if v < 0 {
			dst, v = append(dst, '-'), -v
		}
		dst = appendClock(dst, uint32(v)/10000, uint32(v)/100%100, uint32(v)%100)
	default:
		return dst, fmt.Errorf("its type can't be read")
	}
	return append(dst, '"'), nil
}

func appendDate(dst []byte, year, month, day uint32) []byte {
	dst = append(appendDigits(dst, year, 4), '-')
	dst = append(appendDigits(dst, month, 2), '-')
	return appendDigits(dst, day, 2)
}

// appendClock writes hours with two digits or three: TIME goes to 838 hours.
func appendClock(dst []byte, hour, minute, second uint32) []byte {
	digits := 2
	if hour > 99 {
		digits = 3
	}
	dst = append(appendDigits(dst, hour, digits), ':')
	dst = append(appendDigits(dst, minute, 2), ':')
	return appendDigits(dst, second, 2)
}

// appendPackedDatetime writes year*13+month (17 bits), day (5), hour (5), minute (6), second (6).
func appendPackedDatetime(dst []byte, v uint64) []byte {
	month := uint32(v >> 22)
	dst = append(appendDate(dst, month/13, month%13, uint32(v>>17&31)), 'T')
	return appendClock(dst, uint32(v>>12&31), uint32(v>>6&63), uint32(v&63))
}

// appendFraction writes as many digits as the column has; two of them lie in each byte.
func appendFraction(dst []byte, v uint64, bytes, digits int) []byte {
	if digits == 0 {
		return dst
	}
	if digits < 2*bytes {
		v /= 10
	}
	return appendDigits(append(dst, '.'), uint32(v), digits)
}

// appendUnix writes seconds since 1970 in UTC. 0 is MySQL's zero timestamp, not 1970.
func appendUnix(dst []byte, seconds uint32) []byte {
	if seconds == 0 {
		return append(dst, "0000-00-00T00:00:00"...)
	}
	clock := seconds % 86400
	// Days since 1 March 0000, in eras of 400 years: years that begin in March end in the leap day.
	day := seconds/86400 + 719468
	era := day / 146097
	ofEra := day % 146097
	year := (ofEra - ofEra/1460 + ofEra/36524 - ofEra/146096) / 365
	ofYear := ofEra - (365*year + year/4 - year/100)
	month := (5*ofYear + 2) / 153
	date := ofYear - (153*month+2)/5 + 1
	year += 400 * era
	if month < 10 {
		month += 3
	} else {
		month -= 9
		year++
	}
	dst = append(appendDate(dst, year, month, date), 'T')
	return appendClock(dst, clock/3600, clock/60%60, clock%60)
}

// appendTime writes a TIME: an integer with its sign as an offset, the fraction behind it. A
// negative one is the complement of the whole, so that bytes sort as times do.
func appendTime(dst, data []byte, fraction int) []byte {
	bytes := len(data) - 3
	offset := int64(1) << (23 + 8*bytes)
	v := int64(bigEndian(data)) - offset
	if v < 0 {
		dst, v = append(dst, '-'), -v
	}
	whole, part := uint64(v)>>(8*bytes), uint64(v)&(1<<(8*bytes)-1)
	dst = appendClock(dst, uint32(whole>>12&1023), uint32(whole>>6&63), uint32(whole&63))
	return appendFraction(dst, part, bytes, fraction)
}
