package postgres

import (
	"fmt"
	"strings"

	"github.com/jackc/pglogrepl"

	"github.com/spola-cdc/spola/internal/change"
)

// A change.Position of this source: Before is "<system identifier>:<timeline>:<LSN>", the
// history that the transaction belongs to and the end of the transaction before it; GTID is the
// LSN of its commit, by which the server finds it again. A log from which nothing was read yet
// has neither.

// history is the life of a server: restored or promoted, it is another one.
type history struct {
	system   string
	timeline int32
}

func (h history) String() string { return fmt.Sprintf("%s:%d", h.system, h.timeline) }

// parseBefore takes a position's Before apart.
func parseBefore(text string) (h history, end pglogrepl.LSN, err error) {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) != 3 {
		return h, 0, fmt.Errorf("position %q is not of the form system:timeline:LSN", text)
	}
	h.system = parts[0]
	if _, err := fmt.Sscanf(parts[1], "%d", &h.timeline); err != nil {
		return h, 0, fmt.Errorf("position %q: timeline: %w", text, err)
	}
	if end, err = pglogrepl.ParseLSN(parts[2]); err != nil {
		return h, 0, fmt.Errorf("position %q: %w", text, err)
	}
	return h, end, nil
}

// commitOf is the LSN of a position's commit, 0 if nothing was read yet.
func commitOf(p change.Position) (pglogrepl.LSN, error) {
	if p.GTID == "" {
		return 0, nil
	}
	lsn, err := pglogrepl.ParseLSN(p.GTID)
	if err != nil {
		return 0, fmt.Errorf("position %q: %w", p.GTID, err)
	}
	return lsn, nil
}
