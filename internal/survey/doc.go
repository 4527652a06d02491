// Package survey looks at a live shop and at an ERP without changing either. What it sees it puts
// to two uses:
//
//   - Write makes the two files with which Spola begins: every guess with its reason, every
//     question that only the merchant can answer as a line with a "?" (`spola init`);
//   - Examine holds those files against the servers, now and whenever something is odd: one list
//     of findings, worst first, each with what mends it (`spola doctor`).
//
// What a platform's tables mean stands in SQL under schemas/shop (survey.mysql.sql); here are the
// rules that are the same for all platforms. DESIGN.md has them.
package survey
