package shop

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"

	"github.com/spola-cdc/spola/internal/verify"
)

// Journal is the file in which the generator writes what it is about to do and what became of
// it, a JSON object a line (verify.Entry). Both are on the disk before Write returns, and an
// intent is written before its first statement is sent: whatever is killed, no order stands in
// the shop that the journal does not know. Several writers share an fsync.
type Journal struct {
	mu      sync.Mutex
	file    *os.File
	written int64 // lines written
	synced  int64 // lines known to be on the disk
	syncing bool
	changed *sync.Cond
	err     error // of a write or fsync: nothing is written after it
}

// OpenJournal makes a journal, or goes on with one.
func OpenJournal(path string) (*Journal, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &Journal{file: file}
	j.changed = sync.NewCond(&j.mu)
	return j, nil
}

// Write adds an entry and returns when it is on the disk.
func (j *Journal) Write(e verify.Entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		j.err = fmt.Errorf("write journal: %w", err)
		return j.err
	}
	j.written++
	for mine := j.written; j.synced < mine && j.err == nil; {
		if j.syncing {
			j.changed.Wait()
			continue
		}
		j.syncLocked()
	}
	return j.err
}

// syncLocked lets go of the lock while the disk works.
func (j *Journal) syncLocked() {
	upTo := j.written
	j.syncing = true
	j.mu.Unlock()
	err := j.file.Sync()
	j.mu.Lock()
	j.syncing = false
	if err != nil {
		j.err = fmt.Errorf("sync journal: %w", err)
	} else {
		j.synced = upTo
	}
	j.changed.Broadcast()
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }
