package shop

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spola-cdc/spola/deploy"
)

// Site says where a merchant's programs find what they work with.
type Site struct {
	Name    string   // of the shop
	Prefix  string   // of its tables; empty: the usual
	Shop    string   // URL of its database
	ERP     string   // URL of the ERP's
	Brokers []string // host:port
	Topics  string   // prefix of the topics
	Slot    string   // of the reader of the ERP's log, which reads as the ERP's own user; empty: it is not read
	Follows bool     // another shop's programs read the ERP's log for this one too
	Writer  string   // user that writes into the shop; empty: nobody does

	Reconcile time.Duration // how often; 0: as a merchant has it
	Buffer    int           // pieces of each article that the shop does not show
	Mail      string        // host:port of a server without TLS that customers are mailed through; empty: they are not
	Parks     int           // orders that may be parked within a minute; 0: as a merchant has it
	Warehouse string        // of the ERP, the one whose pieces the shop shows; empty: those of all web shops
}

// WriteFiles writes into a directory the two files that a merchant writes for a shop, and returns the path of spola.yaml.
func (s Site) WriteFiles(dir string) (string, error) {
	path := filepath.Join(dir, "spola.yaml")
	log, writer := "", ""
	if s.Writer != "" {
		writer = "\n  write_as: " + s.Writer
	}
	if s.Slot != "" {
		log = "\n  log: {user: postgres, slot: " + s.Slot + "}"
	}
	if s.Follows {
		log = "\n  log: {elsewhere: true}"
	}
	prefix := s.Prefix
	if prefix == "" {
		prefix = usualPrefix
	}
	text := fmt.Sprintf(`shop:
  name: %s
  platform: opencart
  prefix: %s
  database: %s
  file: shop.yaml%s
erp:
  database: %s%s
kafka:
  brokers: [%s]
  prefix: %s
`, s.Name, prefix, s.Shop, writer, s.ERP, log, strings.Join(s.Brokers, ", "), s.Topics)
	if s.Mail != "" {
		text += fmt.Sprintf("smtp: {server: %q, tls: none, from: Bottega Spola <ordini@%s.example>, per_minute: 100000}\n", s.Mail, s.Name)
	}
	shopFile := deploy.ShopExample
	if s.Reconcile > 0 {
		shopFile = bytes.Replace(shopFile, []byte("reconcile: 15m"), fmt.Appendf(nil, "reconcile: %v", s.Reconcile), 1)
	}
	if s.Warehouse != "" {
		shopFile = bytes.Replace(shopFile, []byte("warehouses: []"), fmt.Appendf(nil, "warehouses: [%s]", s.Warehouse), 1)
	}
	if s.Buffer > 0 {
		shopFile = bytes.Replace(shopFile, []byte("buffer: 0"), fmt.Appendf(nil, "buffer: %d", s.Buffer), 1)
	}
	if s.Parks > 0 {
		shopFile = bytes.Replace(shopFile, []byte("parked_per_minute: 20"), fmt.Appendf(nil, "parked_per_minute: %d", s.Parks), 1)
	}
	for path, text := range map[string][]byte{path: []byte(text), filepath.Join(dir, "shop.yaml"): shopFile} {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return "", fmt.Errorf("write the merchant's files: %w", err)
		}
	}
	return path, nil
}
