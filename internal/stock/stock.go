// Package stock keeps the account of each row of a shop's stock: what the ERP did alone goes into a ledger, from where it
// is delivered to the shop; what the shop's row shows is held against it, and drift is repaired. DESIGN.md has the algebra.
//
//	schemas/spola/00040_stock.sql   the account, the ledger, settle
//	law.postgres.sql                the law of one shop; what opens, closes and repairs accounts
//	ledger.go                       `applier run ledger`: the ERP's log settles what changed there
//	reconcile.go                    `applier reconcile`, and every 15 minutes
//	witness.go, recover.go          an ERP that is older than its log and the shop know it
package stock

import _ "embed"

// LawSQL is what the canonical schema of a shop has of stock: a template, installed by intake behind the platform's own
// file, with {{.Shop}}, {{.Schema}} and {{marker}}, the mirror of Spola's own table in the shop.
//
//go:embed law.postgres.sql
var LawSQL string
