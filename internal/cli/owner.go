package cli

import (
	"fmt"
	"os"
	"os/user"
)

// Owner tells people which process owns a log or holds a place.
func Owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("%s, process %d", host, os.Getpid())
}

// Person tells under which account somebody decides something, and on which machine. Behind sudo
// it is the account of the person.
func Person() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	name := os.Getenv("SUDO_USER")
	if u, err := user.Current(); name == "" && err == nil {
		name = u.Username
	}
	if name == "" {
		name = fmt.Sprintf("account %d", os.Getuid())
	}
	return name + "@" + host
}
