package mysql

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/change"
	"github.com/spola-cdc/spola/internal/lab/server"
)

// withMarker runs a test on a shop's database of each server, empty but for the marker.
func withMarker(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	marker, err := os.ReadFile("../../source/mysql/marker.sql")
	if err != nil {
		t.Fatal(err)
	}
	for name, database := range map[string]func(testing.TB) string{"mysql": server.MySQL, "mariadb": server.MariaDB} {
		t.Run(name, func(t *testing.T) {
			url := database(t)
			db, err := server.OpenMySQL(url)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.ExecContext(t.Context(), string(marker)); err != nil {
				t.Fatal(err)
			}
			test(t, url)
		})
	}
}

func (t *Target) open(test *testing.T) change.Stand {
	test.Helper()
	stand, err := t.Open(test.Context(), func(*Tx) error { return nil })
	if err != nil {
		test.Fatal(err)
	}
	return stand
}

// advance moves the place in a transaction of its own.
func (t *Target) advance(test *testing.T, from, to change.Stand) error {
	test.Helper()
	tx, err := t.Begin(test.Context())
	if err != nil {
		test.Fatal(err)
	}
	if err := t.Move(test.Context(), tx, from, to); err != nil {
		_ = tx.tx.Rollback()
		return err
	}
	return t.Commit(test.Context(), tx)
}

// The place moves from where it stands and from nowhere else; an applier that starts overtakes the one before, which
// changes nothing from then on; a paused one may not go on until it is resumed.
func TestPlace(t *testing.T) {
	withMarker(t, func(t *testing.T, url string) {
		if _, err := Look(t.Context(), url, "stock", "erp"); !errors.Is(err, ErrNeverRan) {
			t.Errorf("before the first start: %v", err)
		}
		older, newer := NewTarget(url, "stock", "erp", "older"), NewTarget(url, "stock", "erp", "newer")
		defer older.Close()
		defer newer.Close()
		start := older.open(t)
		one := change.Stand{Place: change.Place{Gen: 1, Seq: 7, Sum: 0xfedc}, Applied: 7, Offset: 9, Time: 1764043200000}
		if err := older.advance(t, start, one); err != nil {
			t.Fatal(err)
		}
		if err := older.advance(t, start, one); !errors.Is(err, ErrMoved) {
			t.Errorf("from where the place stands no more: %v", err)
		}
		if again := older.open(t); again != one {
			t.Errorf("read again: %+v, want %+v", again, one)
		}
		if taken := newer.open(t); taken != one {
			t.Errorf("taken over: %+v, want %+v", taken, one)
		}
		two := one
		two.Seq, two.Applied = 8, 8
		if err := older.advance(t, one, two); !older.Fenced(err) {
			t.Errorf("the older one moved the place: %v", err)
		}
		if _, err := older.Open(t.Context(), func(*Tx) error { return nil }); !older.Fenced(err) {
			t.Errorf("the older one took the place back: %v", err)
		}
		if err := newer.advance(t, one, two); err != nil {
			t.Fatal(err)
		}
		if s, err := Pause(t.Context(), url, "stock", "erp", "anna"); err != nil || s.Paused == nil || time.Since(*s.Paused) > time.Minute {
			t.Errorf("paused: %+v, %v", s, err)
		}
		three := two
		three.Seq, three.Applied = 9, 9
		if err := newer.advance(t, two, three); !newer.Paused(err) {
			t.Errorf("moved while paused: %v", err)
		}
		if was, err := Resume(t.Context(), url, "stock", "erp"); err != nil || !was {
			t.Errorf("resumed: %v, %v", was, err)
		}
		if s := newer.open(t); s != two {
			t.Errorf("after the pause at %+v, want %+v", s, two)
		}
		if err := newer.advance(t, two, three); err != nil {
			t.Error(err)
		}
	})
}
