package mirror

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spola-cdc/spola/internal/change"
)

// marked takes note of a row of the marker: a tick of the source's clock, the low watermark
// that opens a chunk, or what a stock row was delivered by.
func (p *Part) marked(op change.Op, after []byte) error {
	var name string
	var generation, number int64
	err := change.Fields(after, func(column, value []byte) (err error) {
		switch string(column) {
		case "name":
			name = string(value)
		case "generation":
			generation, err = strconv.ParseInt(string(value), 10, 64)
		case "number":
			number, err = strconv.ParseInt(string(value), 10, 64)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("row of %s: %w", Marker, err)
	}
	switch {
	case op == change.Read: // a snapshot tells what stands there, not what happens
	case name == `"tick"`:
		p.m.ticks++
		p.ticked, p.ticks = true, p.m.ticks
	case name == `"low"`:
		p.m.low = lowMark{run: generation, chunk: number, at: p.at}
	}
	if strings.Contains(name, ":") {
		p.marks[strings.Trim(name, `"`)] = number
	}
	return nil
}
