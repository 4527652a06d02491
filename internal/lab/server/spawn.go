package server

import (
	"errors"
	"os/exec"
	"runtime"
	"syscall"
)

// spawner starts processes from one thread that lives as long as the Lab. The kernel ends a
// child with its parent's *thread* (Pdeathsig), and goroutines change threads: started from
// anywhere, servers would end at random; started without Pdeathsig, they would outlive a
// killed test.
type spawner struct {
	work chan func()
	done chan struct{}
}

var errClosed = errors.New("the lab is closed")

func newSpawner() *spawner {
	s := &spawner{work: make(chan func()), done: make(chan struct{})}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		for {
			select {
			case do := <-s.work:
				do()
			case <-s.done:
				return
			}
		}
	}()
	return s
}

// start starts a command that ends with us: by the given signal if we die.
func (s *spawner) start(cmd *exec.Cmd, death syscall.Signal) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = death
	cmd.SysProcAttr.Setpgid = true // ctrl-C is for us alone: we stop servers in their order
	started := make(chan error, 1)
	select {
	case s.work <- func() { started <- cmd.Start() }:
		return <-started
	case <-s.done:
		return errClosed
	}
}

func (s *spawner) close() { close(s.done) }
