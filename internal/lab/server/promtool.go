package server

import (
	"context"
	"os/exec"
	"path/filepath"
)

var prometheusPackages = packages{name: "prometheus-2", suite: "bookworm", names: []string{"prometheus"}}

// Promtool runs Prometheus's own tool, which checks and tries alert rules, in a directory, and returns what it prints. The
// installed one is used where there is one.
func (l *Lab) Promtool(ctx context.Context, dir string, args ...string) (string, error) {
	path, err := exec.LookPath("promtool")
	if err != nil {
		root, err := l.unpack(ctx, prometheusPackages)
		if err != nil {
			return "", err
		}
		path = filepath.Join(root, "usr/bin/promtool")
	}
	return l.run(ctx, dir, nil, append([]string{path}, args...)...)
}
