package intake

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// TestMain plays the same histories on every run, so that a failure is the change's own. Others,
// and more, are played by `go test -args -rapid.seed=N -rapid.checks=N`.
func TestMain(m *testing.M) {
	flag.Parse()
	for name, value := range map[string]string{"rapid.seed": "1", "rapid.checks": "40"} {
		f := flag.Lookup(name)
		if f == nil || f.Value.String() != f.DefValue {
			continue
		}
		if err := f.Value.Set(value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}
