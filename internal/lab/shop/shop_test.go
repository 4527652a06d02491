package shop_test

import (
	"context"
	"testing"

	"github.com/spola-cdc/spola/internal/lab/server"
	"github.com/spola-cdc/spola/internal/lab/shop"
)

// dialects runs a test on an empty shop in each of the two databases.
func dialects(t *testing.T, options shop.Options, test func(t *testing.T, s *shop.Shop)) {
	for name, url := range map[string]func(testing.TB) string{"mysql": server.MySQL, "mariadb": server.MariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, url(t), options)
			if err := s.Install(t.Context()); err != nil {
				t.Fatal(err)
			}
			test(t, s)
		})
	}
}

func open(t *testing.T, url string, options shop.Options) *shop.Shop {
	t.Helper()
	s, err := shop.Open(context.Background(), url, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
