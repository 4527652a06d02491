package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU times in /proc, the same on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// mib is the unit of memory in reports.
const mib = 1 << 20

// stat is what /proc says of a process.
type stat struct {
	parent int
	own    time.Duration // CPU of the process itself
	ended  time.Duration // CPU of its children that have ended
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	// "123 (name, maybe with spaces) S 45 …": the fields are counted from behind the name.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 15 {
		return stat{}, fmt.Errorf("read CPU of process %d: %d fields", pid, len(fields))
	}
	var numbers [5]int64
	for i, at := range []int{1, 11, 12, 13, 14} {
		if numbers[i], err = strconv.ParseInt(fields[at], 10, 64); err != nil {
			return stat{}, fmt.Errorf("read CPU of process %d: %w", pid, err)
		}
	}
	return stat{
		parent: int(numbers[0]),
		own:    time.Duration(numbers[1]+numbers[2]) * clockTick,
		ended:  time.Duration(numbers[3]+numbers[4]) * clockTick,
	}, nil
}

// cpu is the CPU time that a process and its children have used so far. PostgreSQL has a
// process for each connection; what those used that have ended counts too.
func cpu(pid int) (time.Duration, error) {
	s, err := readStat(pid)
	if err != nil {
		return 0, fmt.Errorf("read CPU of process %d: %w", pid, err)
	}
	sum := s.own + s.ended
	children, err := childrenOf(pid)
	if err != nil {
		return 0, err
	}
	for _, child := range children {
		if s, err := readStat(child); err == nil { // else it has ended meanwhile
			sum += s.own + s.ended
		}
	}
	return sum, nil
}

func childrenOf(pid int) ([]int, error) {
	paths, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var children []int
	for _, path := range paths {
		one, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			continue
		}
		if s, err := readStat(one); err == nil && s.parent == pid {
			children = append(children, one)
		}
	}
	return children, nil
}

// memory is resident memory in MiB.
type memory struct {
	Now  float64 `json:"now_mib"`
	Peak float64 `json:"peak_mib"` // since the process began, or since forgetPeak
}

func memoryOf(pid int) (memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, fmt.Errorf("read memory of process %d: %w", pid, err)
	}
	var m memory
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		to := map[string]*float64{"VmRSS": &m.Now, "VmHWM": &m.Peak}[name]
		if to == nil {
			continue
		}
		kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		if err != nil {
			return memory{}, fmt.Errorf("read memory of process %d: %w", pid, err)
		}
		*to = kib * 1024 / mib
	}
	return m, nil
}

// Resident is a process's memory that is not swapped out, in MiB.
func Resident(pid int) (float64, error) {
	m, err := memoryOf(pid)
	if err == nil && m.Now == 0 {
		err = fmt.Errorf("read memory of process %d: it has none any more", pid)
	}
	return m.Now, err
}

// forgetPeak lets a process's peak begin anew.
func forgetPeak(pid int) error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("reset the peak of memory: %w", err)
	}
	return nil
}

// familyMemory is the memory of a process and its children, in which what they share counts once.
func familyMemory(pid int) (float64, error) {
	children, err := childrenOf(pid)
	if err != nil {
		return 0, err
	}
	var sum float64
	for _, one := range append(children, pid) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", one))
		if err != nil {
			continue // ended meanwhile
		}
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(line, "Pss:"); ok {
				kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
				if err != nil {
					return 0, fmt.Errorf("read memory of process %d: %w", one, err)
				}
				sum += kib * 1024 / mib
			}
		}
	}
	return sum, nil
}

// meter measures the CPU that processes use.
type meter struct {
	began time.Time
	at    map[string]time.Duration
	pids  map[string]int
}

func newMeter(pids map[string]int) (*meter, error) {
	m := &meter{began: time.Now(), pids: pids}
	var err error
	m.at, err = m.read()
	return m, err
}

func (m *meter) read() (map[string]time.Duration, error) {
	at := map[string]time.Duration{}
	for name, pid := range m.pids {
		var err error
		if at[name], err = cpu(pid); err != nil {
			return nil, err
		}
	}
	return at, nil
}

// used is the CPU time since the meter began, by name.
func (m *meter) used() (map[string]time.Duration, error) {
	now, err := m.read()
	if err != nil {
		return nil, err
	}
	for name, was := range m.at {
		now[name] -= was
	}
	return now, nil
}
