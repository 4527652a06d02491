package survey

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// File is a file that is to be written.
type File struct {
	Path string
	Text string
}

// ErrExists says that a file stands there already. Nothing was written.
var ErrExists = errors.New("nothing was written")

// WriteNew writes files that are not there yet: all of them or, if one of them is there, none. The
// error then holds, for each file that differs, how.
func WriteNew(files ...File) error {
	var there []string
	var differences strings.Builder
	for _, f := range files {
		old, err := os.ReadFile(f.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return fmt.Errorf("look whether there is a file: %w", err)
		}
		there = append(there, f.Path)
		if d := diff(string(old), f.Text); d != "" {
			fmt.Fprintf(&differences, "\n%s, as it is (-) and as it would be written now (+):\n%s", f.Path, d)
		}
	}
	if len(there) > 0 {
		return fmt.Errorf("%w, for there is already %s, and it is yours: take over by hand what you want of what follows, move it away, or write into another directory with --dir\n%s",
			ErrExists, strings.Join(there, " and "), differences.String())
	}
	for i, f := range files {
		if err := writeNew(f); err != nil {
			for _, written := range files[:i] {
				err = errors.Join(err, os.Remove(written.Path))
			}
			return err
		}
	}
	return nil
}

// writeNew fails if somebody has made the file meanwhile.
func writeNew(f File) (err error) {
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
		return fmt.Errorf("make the directory of %s: %w", f.Path, err)
	}
	file, err := os.OpenFile(f.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write a new file: %w", err)
	}
	_, err = file.WriteString(f.Text)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", f.Path, errors.Join(err, os.Remove(f.Path)))
	}
	return nil
}

// diff lists the lines that only one of two texts has, with their numbers there; empty if there
// are none.
func diff(old, text string) string {
	a, b := strings.Split(old, "\n"), strings.Split(text, "\n")
	// common[i][j] is how many lines a[i:] and b[j:] have in common, in order.
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out strings.Builder
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			fmt.Fprintf(&out, "-%4d  %s\n", i+1, a[i])
			i++
		default:
			fmt.Fprintf(&out, "+%4d  %s\n", j+1, b[j])
			j++
		}
	}
	return out.String()
}
