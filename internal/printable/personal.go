package printable

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
)

// PersonalKey is the variable of the environment with the key of Personal. Without it each process has a key of its own, so that
// hashes can be compared within one run only.
const PersonalKey = "SPOLA_LOG_KEY"

// Personal is a text that names a person, such as an e-mail address. Whatever prints it, a log line or an error, shows a hash under the
// key of PersonalKey: the same person has the same one, and nobody without the key learns who it is or can try
// names. As the key of a map JSON would show it: there it does not belong.
type Personal string

var personalKey = func() []byte {
	if key := os.Getenv(PersonalKey); key != "" {
		return []byte(key)
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return key
}()

// String is the hash: "person-" and twelve hexadecimal digits. Case and spaces around the text do not count.
func (p Personal) String() string {
	if p == "" {
		return ""
	}
	h := hmac.New(sha256.New, personalKey)
	_, _ = h.Write([]byte(strings.ToLower(strings.TrimSpace(string(p))))) // it never fails
	return "person-" + hex.EncodeToString(h.Sum(nil)[:6])
}

// GoString is the hash too: %#v must not betray the text.
func (p Personal) GoString() string { return p.String() }

// MarshalText is the hash: JSON must not betray it either.
func (p Personal) MarshalText() ([]byte, error) { return []byte(p.String()), nil }
