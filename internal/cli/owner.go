package cli

import (
	"fmt"
	"os"
)

// Owner tells people which process owns a log or holds a place.
func Owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("%s, process %d", host, os.Getpid())
}
