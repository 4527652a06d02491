package server

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"

	"github.com/gofrs/flock"
)

// Ports of servers lie below the range from which Linux takes ports for outgoing connections
// (32768 on), so that nobody takes a server's port while it is down for a moment.
const (
	firstPort = 20000
	lastPort  = 31999
)

// Port picks a free port on the loopback interface and keeps it for this Lab until Close.
// Other Labs of the same cache leave it alone.
func (l *Lab) Port() (int, error) {
	dir := filepath.Join(l.cache, "ports")
	if err := l.user.makeDir(dir, 0o755); err != nil {
		return 0, fmt.Errorf("keep a port: %w", err)
	}
	for range 200 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		path := filepath.Join(dir, strconv.Itoa(port))
		lock := flock.New(path)
		got, err := lock.TryLock()
		if err != nil {
			return 0, fmt.Errorf("keep port %d: %w", port, err)
		}
		if !got {
			continue
		}
		if err := l.user.Give(path); err != nil {
			return 0, errors.Join(err, lock.Unlock())
		}
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil { // taken by a stranger
			if err := lock.Unlock(); err != nil {
				return 0, err
			}
			continue
		}
		if err := listener.Close(); err != nil {
			return 0, errors.Join(err, lock.Unlock())
		}
		l.mu.Lock()
		l.ports = append(l.ports, lock)
		l.mu.Unlock()
		return port, nil
	}
	return 0, errors.New("no free port found on 127.0.0.1")
}
