package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/spola-cdc/spola/internal/change"
)

// Unread asks the shop's server how many transactions it has committed that do not stand before the end of a position: those that are no
// business of Spola's too, which the next tick of the marker passes.
func Unread(ctx context.Context, db *sql.DB, read change.Position) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	f, err := readFacts(ctx, db)
	if err != nil {
		return 0, err
	}
	all, err := parseExecuted(f.flavor, f.executed)
	if err != nil {
		return 0, fmt.Errorf("the shop's position: %w", err)
	}
	done, err := parseExecuted(f.flavor, read.Before)
	if err == nil && read.End {
		err = done.add(read.GTID)
	}
	if err != nil {
		return 0, fmt.Errorf("the position of the shop's log: %w", err)
	}
	return all.beyond(done), nil
}

// add adds what a text names.
func (e *executed) add(text string) error {
	more, err := parseExecuted(e.flavor, text)
	if err != nil {
		return err
	}
	for _, s := range more.sources {
		for _, i := range s.done {
			e.addInterval(s.name, i)
		}
	}
	for _, d := range more.domains {
		e.addDomain(d.id, d.server, d.number)
	}
	return nil
}

// beyond counts the transactions that another set lacks.
func (e *executed) beyond(other *executed) (n int64) {
	for _, s := range e.sources {
		for _, all := range s.done {
			n += all.to - all.from + 1
			for _, o := range other.sources {
				if o.name != s.name {
					continue
				}
				for _, has := range o.done {
					n -= max(min(all.to, has.to)-max(all.from, has.from)+1, 0)
				}
			}
		}
	}
	for _, d := range e.domains {
		number := d.number
		for _, has := range other.domains {
			if has.id == d.id {
				number -= min(number, has.number)
			}
		}
		n += int64(number) //nolint:gosec // of transactions
	}
	return n
}
