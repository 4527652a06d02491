package printable

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// However a person's name is printed, it is not there; one person has one hash, two have two.
func TestPersonal(t *testing.T) {
	const email = "Anna.Bianchi@example.com"
	anna := Personal(email)
	var out bytes.Buffer
	log := zerolog.New(&out)
	log.Info().Stringer("a", anna).Interface("b", anna).Str("c", fmt.Sprint(anna)).Err(fmt.Errorf("customer %s, %q, %v", anna, anna, anna)).Msgf("%+v %#v", anna, struct{ P Personal }{anna})
	Printf(&out, "%s %v\n", anna, anna)
	if err := json.NewEncoder(&out).Encode(map[string]Personal{"anyone": anna}); err != nil {
		t.Fatal(err)
	}
	if text := strings.ToLower(out.String()); strings.Contains(text, "anna") || strings.Count(text, anna.String()) != 11 {
		t.Errorf("%d of 11 are hashes:\n%s", strings.Count(text, anna.String()), out.String())
	}
	if same := Personal(" anna.bianchi@EXAMPLE.com "); same.String() != anna.String() {
		t.Errorf("the same person is %s and %s", same, anna)
	}
	if other := Personal("bruno@example.com"); other.String() == anna.String() {
		t.Error("two persons have one hash")
	}
	had := personalKey
	defer func() { personalKey = had }()
	before := anna.String()
	personalKey = []byte("another")
	if anna.String() == before {
		t.Error("the hash does not depend on the key")
	}
}
