package suite

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// readable returns each package's directory as the tests' user can enter it: the package's
// own, or, where that is closed to the user (a checkout under /root), one in a copy of the
// module.
func (s *suite) readable(packages []testPackage) ([]string, error) {
	dirs := make([]string, len(packages))
	closed := false
	for i, p := range packages {
		dirs[i] = p.dir
		closed = closed || !s.lab.User().CanRead(p.dir)
	}
	if !closed {
		return dirs, nil
	}
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	copied := filepath.Join(s.dir, "module")
	s.say(fmt.Sprintf("%s is closed to %s: the tests run in a copy", root, s.lab.User().Name))
	if err := s.copyModule(root, copied); err != nil {
		return nil, fmt.Errorf("copy the module: %w", err)
	}
	for i, p := range packages {
		inside, err := filepath.Rel(root, p.dir)
		if err != nil {
			return nil, err
		}
		dirs[i] = filepath.Join(copied, inside)
	}
	return dirs, nil
}

// copyModule copies everything but git's directory and gives it to the tests' user.
func (s *suite) copyModule(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == ".git" {
			return filepath.SkipDir
		}
		inside, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, inside)
		switch {
		case entry.IsDir():
			err = os.MkdirAll(target, 0o755)
		case entry.Type().IsRegular():
			err = copyFile(path, target)
		default: // no link of ours belongs to a test
			return nil
		}
		if err != nil {
			return err
		}
		return s.lab.User().Give(target)
	})
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, info.Mode().Perm())
}
