package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// childrenOf are the processes whose parent is pid. PostgreSQL's are in sessions of their own,
// so its process group does not name them.
func childrenOf(pid int) []int {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	var children []int
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		// "123 (name, maybe with spaces) S 45 …": the parent is the second field behind the name.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 2 || fields[1] != strconv.Itoa(pid) {
			continue
		}
		if child, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			children = append(children, child)
		}
	}
	return children
}

// killAll kills processes and waits until they are gone: until then they hold the shared
// memory and the port that the next start wants.
func killAll(pids []int) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	for _, pid := range pids {
		err := backoff.Retry(func() error {
			if err := syscall.Kill(pid, syscall.SIGKILL); errors.Is(err, syscall.ESRCH) {
				return nil
			} else if err != nil {
				return backoff.Permanent(err)
			}
			return errors.New("it still lives")
		}, backoff.WithContext(backoff.NewConstantBackOff(pollEvery), ctx))
		if err != nil {
			return fmt.Errorf("kill process %d: %w", pid, err)
		}
	}
	return nil
}

// Environment of what runs as the Lab's account: ours, but with messages in English, and a home
// and a directory for temporary files that the account owns; with more variables set.
func (l *Lab) Environment(more ...string) []string {
	set := []string{"LC_ALL=C.UTF-8", "TZ=UTC", "TMPDIR=" + filepath.Join(l.dir, "tmp")}
	if l.user.Dropped() {
		set = append(set, "HOME="+filepath.Join(l.dir, "home"), "USER="+l.user.Name, "LOGNAME="+l.user.Name)
	}
	return environment(append(set, more...)...)
}

// run runs a tool as the account in a directory and returns its output.
func (l *Lab) run(ctx context.Context, dir string, env []string, argv ...string) (string, error) {
	return l.feed(ctx, "", dir, env, argv...)
}

// feed is run with something on the tool's standard input.
func (l *Lab) feed(ctx context.Context, input, dir string, env []string, argv ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = l.Environment(env...)
	cmd.Stdin = strings.NewReader(input)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// A tool's own children must not outlive it: kill the group.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	l.user.Apply(cmd)
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("run %s: %w\n%s", strings.Join(argv, " "), err, lastLines(out.String()))
	}
	return out.String(), nil
}

// linesShown is how much of a log an error carries.
const linesShown = 20

func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return lastLines(string(text))
}

func lastLines(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines) > linesShown {
		lines = lines[len(lines)-linesShown:]
	}
	return strings.Join(lines, "\n")
}
