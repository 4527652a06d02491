package bench

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// Machine is what the figures depend on.
type Machine struct {
	CPU      string            `json:"cpu"`
	Cores    int               `json:"cores"`
	Memory   float64           `json:"memory_gib"`
	Versions map[string]string `json:"versions"`
}

func machine(st *stage) Machine {
	m := Machine{
		CPU: field("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(),
		Versions: map[string]string{
			"go": runtime.Version(), "kafka": st.kafka.Version(), "mysql": st.mysql.Version(), "postgres": st.pg.Version(),
		},
	}
	var kib float64
	if _, err := fmt.Sscanf(field("/proc/meminfo", "MemTotal"), "%f kB", &kib); err == nil {
		m.Memory = kib / (1 << 20)
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			switch d.Path {
			case "github.com/go-mysql-org/go-mysql":
				m.Versions["go-mysql"] = d.Version
			case "github.com/segmentio/kafka-go":
				m.Versions["kafka-go"] = d.Version
			}
		}
	}
	return m
}

// field is the first value of a name in a file of lines "name: value"; empty if there is none.
func field(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (m Machine) print(w io.Writer) {
	v := m.Versions
	fmt.Fprintf(w, "\n%d cores (%s), %.0f GiB. Kafka %s (one broker, lz4, on disk), MySQL %s, PostgreSQL %s, go-mysql %s, kafka-go %s, %s.\n",
		m.Cores, m.CPU, m.Memory, v["kafka"], v["mysql"], v["postgres"], v["go-mysql"], v["kafka-go"], v["go"])
}
