package intake

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// TestMain plays the same histories on every run, so that a failure is the change's own. Others
// are played by `go test -args -rapid.seed=N`.
func TestMain(m *testing.M) {
	flag.Parse()
	if seed := flag.Lookup("rapid.seed"); seed != nil && seed.Value.String() == seed.DefValue {
		if err := seed.Value.Set("1"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}
