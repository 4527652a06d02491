package postgres

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/lab/server"
)

// Memory does not depend on the size of a transaction.
func TestMemoryOfLargeTransaction(t *testing.T) {
	if raceEnabled {
		t.Skip("memory is measured on plain builds")
	}
	e := newERP(t, server.OwnPostgres(t), stock)
	e.log.discard = true
	e.exec(stockTable)
	e.publish()
	e.start()
	debug.FreeOSMemory() // what other tests have left
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Skip("the system does not measure it: " + err.Error())
	}
	before := memoryMB(t, "VmRSS:")
	const rows = 250000
	e.exec(fmt.Sprintf("INSERT INTO stock SELECT i, i, 1, repeat(md5(i::text), 8) FROM generate_series(1, %d) i", rows))
	deadline := time.After(server.Patience)
	for e.log.counted() < rows {
		select {
		case <-e.log.came:
		case <-deadline:
			t.Fatalf("%d of %d rows came", e.log.counted(), rows)
		}
	}
	most := memoryMB(t, "VmHWM:")
	t.Logf("resident: %d MB before, %d MB at most", before, most)
	if most > 100 {
		t.Errorf("resident memory went to %d MB", most)
	}
	e.end()
}

func (l *memoryLog) counted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// memoryMB reads a measure of this process.
func memoryMB(t testing.TB, name string) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("the system does not measure it: " + err.Error())
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name {
			kB, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			return kB / 1024
		}
	}
	t.Fatalf("no %s in /proc/self/status", name)
	return 0
}
