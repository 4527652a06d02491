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
	name, generation, number, err := markerRow(after)
	if err != nil {
		return err
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

// markerRow reads a row of the marker; the name is as JSON has it.
func markerRow(row []byte) (name string, generation, number int64, err error) {
	err = change.Fields(row, func(column, value []byte) (err error) {
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
		err = fmt.Errorf("row of %s: %w", Marker, err)
	}
	return name, generation, number, err
}

// LowWatermark tells whether a record of the marker opens a chunk of a snapshot, and of which run.
func LowWatermark(value []byte) (run int64, is bool, err error) {
	_, after, err := change.Rows(value)
	if err != nil || after == nil {
		return 0, false, err
	}
	name, run, _, err := markerRow(after)
	return run, name == `"low"`, err
}
