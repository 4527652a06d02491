package postgres

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pglogrepl"
)

// visible is which transactions a statement sees: pg_current_snapshot() of its moment. Numbers
// have 64 bits there and 32 in the stream.
type visible struct {
	min, max uint64
	running  map[uint32]struct{}
}

// parseVisible reads min:max:running,running.
func parseVisible(text string) (visible, error) {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) != 3 {
		return visible{}, fmt.Errorf("snapshot %q: want min:max:list", text)
	}
	v := visible{running: map[uint32]struct{}{}}
	var err error
	if v.min, err = strconv.ParseUint(parts[0], 10, 64); err == nil {
		v.max, err = strconv.ParseUint(parts[1], 10, 64)
	}
	for one := range strings.SplitSeq(parts[2], ",") {
		if one == "" || err != nil {
			continue
		}
		var id uint64
		if id, err = strconv.ParseUint(one, 10, 64); err == nil {
			v.running[uint32(id)] = struct{}{}
		}
	}
	if err != nil {
		return visible{}, fmt.Errorf("snapshot %q: %w", text, err)
	}
	return v, nil
}

// before tells whether transaction id a is older than b, around the end of 32 bits.
func before(a, b uint32) bool { return int32(a-b) < 0 }

// sees tells whether the transaction's rows are seen.
func (v visible) sees(id uint32) bool {
	if !before(id, uint32(v.max)) {
		return false
	}
	_, running := v.running[id]
	return !running
}

// recentCommits are the transactions that the stream has told of and others might not see yet.
type recentCommits struct {
	commits []recentCommit
}

type recentCommit struct {
	id  uint32
	lsn pglogrepl.LSN
}

// maxRecent bounds them. Each transaction that is committed and not yet seen holds a connection,
// of which a server has some hundreds; the others are merely not known to be seen.
const maxRecent = 1 << 16

func (r *recentCommits) add(id uint32, lsn pglogrepl.LSN) {
	if len(r.commits) == maxRecent {
		r.commits = append(r.commits[:0], r.commits[maxRecent/4:]...)
	}
	r.commits = append(r.commits, recentCommit{id, lsn})
}

// late tells whether one that was committed below the place is not seen.
func (r *recentCommits) late(v visible, below pglogrepl.LSN) bool {
	for _, c := range r.commits {
		if c.lsn < below && !v.sees(c.id) {
			return true
		}
	}
	return false
}

// forget leaves those that some later statement might not see.
func (r *recentCommits) forget(v visible) {
	kept := r.commits[:0]
	for _, c := range r.commits {
		if !before(c.id, uint32(v.min)) {
			kept = append(kept, c)
		}
	}
	r.commits = kept
}
