package notice

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Words are what a stream said when it ended and a restart can't mend it.
type Words struct {
	Stream string    `json:"stream"` // cdc, cdc erp, intake, ledger, stock, orders, mail
	At     time.Time `json:"at"`
	Status int       `json:"status"` // with which the program ended
	Said   string    `json:"said"`
}

const wordsEnd = ".stopped.json"

func wordsPath(dir, shop, stream string) string {
	return filepath.Join(dir, shop+"."+strings.ReplaceAll(stream, " ", "-")+wordsEnd)
}

// Leave leaves a stream's last words where the notices find them, whatever is down.
func Leave(dir, shop string, w Words) error {
	text, err := json.Marshal(w)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = replace(wordsPath(dir, shop, w.Stream), text)
	}
	if err != nil {
		return fmt.Errorf("leave the last words of %s: %w", w.Stream, err)
	}
	return nil
}

// Begin takes the last words of a stream back: it has been started again.
func Begin(dir, shop, stream string) error {
	if err := os.Remove(wordsPath(dir, shop, stream)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("take the last words of %s back: %w", stream, err)
	}
	return nil
}

// Left are the last words of a shop's streams. A file that can't be read is told as words of its own.
func Left(dir, shop string) (all []Words) {
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return []Words{{Stream: "notices", At: time.Now(), Said: err.Error()}}
	}
	for _, f := range files {
		stream, ours := strings.CutPrefix(f.Name(), shop+".")
		stream, words := strings.CutSuffix(stream, wordsEnd)
		if !ours || !words {
			continue
		}
		w := Words{Stream: strings.ReplaceAll(stream, "-", " ")}
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err == nil {
			err = json.Unmarshal(text, &w)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist): // started again just now
			continue
		case err != nil:
			w.Said = "its last words can't be read: " + err.Error()
		}
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b Words) int { return strings.Compare(a.Stream, b.Stream) })
	return all
}
