// Package verify is the independent proof that shop and ERP hold the same orders.
//
// It reads the shop's tables and the ERP's tables with SQL of its own, works out what every order
// must be in the ERP with arithmetic of its own, and compares in whole cents. It shares nothing
// with the reader, the log and the appliers; CheckLog does the same for the log.
//
//	rules, err := verify.ReadRules("opencart", shopFile)
//	report, err := verify.Run(ctx, verify.Config{Shop: db, ERP: conn, Name: "shop", Rules: rules, Journal: journal})
//	if len(report.Details) > 0 { … }
//
// Both sides must be at rest for Run (Beside compares while they go on): nothing placed, everything applied and settled. A journal of what a
// test shop meant to do (ReadJournal) adds what the shop's tables can't tell: orders that were
// deleted, orders that are missing, and what every order should have come to.
package verify
