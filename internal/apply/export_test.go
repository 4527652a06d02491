package apply

import "time"

// WaitForCompany sets how long a patient batch waits, and returns what sets it back.
func WaitForCompany(d time.Duration) (back func()) {
	was := companyWithin
	companyWithin = d
	return func() { companyWithin = was }
}
