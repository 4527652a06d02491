// Package shop is the test shop: an OpenCart 4.1 shop in MySQL or MariaDB that writes what a
// genuine one was seen to write, statement by statement, each its own transaction.
//
//	s, err := shop.Open(ctx, "mysql://root@127.0.0.1:3306/shop", shop.Options{})
//	err = s.Install(ctx)                                     // tables, settings, catalogue
//	id, err := s.PlaceOrder(ctx, shop.Order{                 // a guest in Rome, cash on delivery
//		Lines: []shop.Line{{Product: 1, Quantity: 2}},
//	})
//	err = s.SetStatus(ctx, id, shop.Shipped)
//	err = s.Edit(ctx, id, shop.Order{Lines: []shop.Line{{Product: 2, Quantity: 1}}})
//	err = s.Cancel(ctx, id)
//	err = s.Delete(ctx, id)
//
// Begin and Checkout.Confirm are the two halves of PlaceOrder, for tests that want something to
// happen between the overview and the button. Options.Before stops the shop before any single
// statement. Catalogue lists what can be ordered, Articles the same as an ERP would call it.
//
// Run is the generator of demo and chaos: it places orders at a rate, decided by a seed, and
// keeps a journal of intents and outcomes that survives kill -9 (see Journal). Bench writes the
// plain seven-row orders of the benchmark.
//
// DESIGN.md has the table of order states and what the shop means by them.
package shop
