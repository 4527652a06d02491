//go:build speed

package survey_test

import (
	"testing"
	"time"

	"github.com/spola-cdc/spola/internal/lab/server"
)

// TestSurveySpeed prints how long init and doctor take on a shop with 10,000 products, of which each tenth has three sizes, and
// holds them to five seconds each:
//
//	go test -tags speed -run TestSurveySpeed -v ./internal/survey
func TestSurveySpeed(t *testing.T) {
	p := newPlace(t, server.MySQL(t))
	p.sql("SET SESSION cte_max_recursion_depth = 20000")
	p.sql(`INSERT INTO oc_product (product_id, model, quantity, subtract, status, tax_class_id, price, date_available, date_added, date_modified)
		WITH RECURSIVE n AS (SELECT 1001 AS n UNION ALL SELECT n + 1 FROM n WHERE n < 2000)
		SELECT a.n * 10 + b.n, CONCAT('MANY-', a.n * 10 + b.n), 5, 1, 1, 9, 10, '2026-01-01', NOW(), NOW()
		FROM n a JOIN (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6
			UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9) b ON 1`)
	p.sql(`INSERT INTO oc_product_option_value (product_option_id, product_id, option_id, option_value_id, quantity, subtract)
		SELECT 900000 + p.product_id, p.product_id, v.option_id, v.option_value_id, 5, 1
		FROM oc_product p JOIN (SELECT DISTINCT option_id, option_value_id FROM oc_product_option_value ORDER BY 1, 2 LIMIT 3) v ON 1
		WHERE p.model LIKE 'MANY-%' AND p.product_id % 10 = 0`)
	began := time.Now()
	p.write()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("init took %v", took)
	} else {
		t.Logf("init took %v", took)
	}
	p.answer()
	began = time.Now()
	r := p.examine()
	took := time.Since(began)
	t.Logf("doctor took %v, %d findings", took, len(r.Findings))
	for _, f := range r.Findings {
		t.Log(f.Severity, f.What)
	}
	if took > 5*time.Second {
		t.Errorf("doctor took %v", took)
	}
}
