package mirror

import (
	"fmt"
	"time"
)

// infinity is what the mirror has for a date that is none: "0000-00-00", and others with a zero
// in year, month or day, which MySQL lets in.
const infinity = "-infinity"

func appendDate(dst, raw []byte) ([]byte, string, error) {
	text, err := inner(raw)
	if err != nil {
		return dst, "", err
	}
	exists, flaw, err := realDate(text)
	if err != nil {
		return dst, "", err
	}
	if !exists {
		return append(dst, infinity...), flaw, nil
	}
	return append(dst, text...), "", nil
}

func appendDateTime(dst, raw []byte) ([]byte, string, error) {
	text, err := inner(raw)
	if err != nil {
		return dst, "", err
	}
	if len(text) < len("2026-11-25T10:00:00") || !timeText(text[11:]) {
		return dst, "", fmt.Errorf("%.40s is no date with time", raw)
	}
	exists, flaw, err := realDate(text[:10])
	if err != nil {
		return dst, "", err
	}
	if !exists {
		return append(dst, infinity...), flaw, nil
	}
	return append(append(append(dst, text[:10]...), ' '), text[11:]...), "", nil // with a space, as PostgreSQL shows it
}

// appendTime takes MySQL's TIME, which is a span: -838:59:59 to 838:59:59.
func appendTime(dst, raw []byte) ([]byte, string, error) {
	text, err := inner(raw)
	if err != nil || !timeText(text) {
		return dst, "", fmt.Errorf("%.40s is no time", raw)
	}
	return append(dst, text...), "", nil
}

func timeText(text []byte) bool {
	for _, c := range text {
		if (c < '0' || c > '9') && c != ':' && c != '.' && c != '-' && c != 'Z' {
			return false
		}
	}
	return len(text) > 0
}

// realDate tells whether a date is one of the calendar. A flaw is digits that get lost: that
// "0000-00-00" becomes -infinity is no loss.
func realDate(text []byte) (exists bool, flaw string, err error) {
	if len(text) != 10 || text[4] != '-' || text[7] != '-' {
		return false, "", fmt.Errorf("%.40q is no date", text)
	}
	year, month, day := digits(text[:4]), digits(text[5:7]), digits(text[8:])
	switch {
	case year < 0 || month < 0 || day < 0:
		return false, "", fmt.Errorf("%.40q is no date", text)
	case year == 0 && month == 0 && day == 0:
		return false, "", nil
	case year == 0 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month):
		return false, fmt.Sprintf("%s is no date", text), nil
	}
	return true, "", nil
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month+1), 0, 0, 0, 0, 0, time.UTC).Day()
}

// digits reads a number; -1 if there is anything else.
func digits(text []byte) int {
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}
