package server

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Account is the ordinary user that programs run as: ourselves, or nobody when we are root.
type Account struct {
	Name string
	drop *syscall.Credential // nil: we are that user already
}

// Ordinary is the user to run servers and tests as.
func Ordinary() (*Account, error) {
	if os.Geteuid() != 0 {
		name := strconv.Itoa(os.Geteuid())
		if me, err := user.Current(); err == nil {
			name = me.Username
		}
		return &Account{Name: name}, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("uid of nobody: %w", err)
	}
	gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("gid of nobody: %w", err)
	}
	return &Account{Name: "nobody", drop: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// Dropped tells whether the account is another than our own, that is: we are root.
func (a *Account) Dropped() bool { return a.drop != nil }

// Apply makes a command run as the account.
func (a *Account) Apply(cmd *exec.Cmd) {
	if a.drop == nil {
		return
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Credential = a.drop
}

// Give makes files and directories the account's own.
func (a *Account) Give(paths ...string) error {
	if a.drop == nil {
		return nil
	}
	for _, path := range paths {
		if err := os.Lchown(path, int(a.drop.Uid), int(a.drop.Gid)); err != nil {
			return err
		}
	}
	return nil
}

// CanRead tells whether the account can enter a directory and list it.
func (a *Account) CanRead(dir string) bool {
	cmd := exec.Command("ls", dir+string(filepath.Separator))
	cmd.Dir = "/"
	a.Apply(cmd)
	return cmd.Run() == nil
}

// makeDir makes a directory, with its parents, that the account owns.
func (a *Account) makeDir(dir string, mode os.FileMode) error {
	if err := os.MkdirAll(dir, mode); err != nil {
		return err
	}
	return a.Give(dir)
}

// environment is ours with some variables set anew.
func environment(set ...string) []string {
	anew := map[string]bool{}
	for _, pair := range set {
		name, _, _ := strings.Cut(pair, "=")
		anew[name] = true
	}
	var env []string
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); !anew[name] {
			env = append(env, pair)
		}
	}
	return append(env, set...)
}
