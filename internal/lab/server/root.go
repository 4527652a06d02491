package server

import (
	"fmt"
	"path/filepath"
	"strings"
)

// loaderOf finds the dynamic loader of an unpacked root, on any processor.
func loaderOf(root string) (string, error) {
	for _, pattern := range []string{"usr/lib64/ld-linux*.so.*", "usr/lib/ld-linux*.so.*", "usr/lib/*/ld-linux*.so.*"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err == nil && len(found) > 0 {
			return found[0], nil
		}
	}
	return "", fmt.Errorf("no dynamic loader in %s", root)
}

// libraryPath lists the directories of an unpacked root that hold shared libraries.
func libraryPath(root string) (string, error) {
	var dirs []string
	for _, pattern := range []string{"usr/lib/*-linux-gnu*", "lib/*-linux-gnu*", "usr/lib/*-linux-gnu*/private"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return "", err
		}
		dirs = append(dirs, found...)
	}
	if len(dirs) == 0 {
		return "", fmt.Errorf("no shared libraries in %s", root)
	}
	return strings.Join(dirs, ":"), nil
}
