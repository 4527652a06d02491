package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/textproto"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// Server is the mail server that all mails go through.
type Server struct {
	Address  string      // host:port
	TLS      *tls.Config // nil: none
	Implicit bool        // TLS from the first byte on; else by STARTTLS, and nothing without it
	User     string      // empty: no login
	Password string
	From     netmail.Address
	ReplyTo  *netmail.Address // nil: From

	PerMinute int // mails at most; 0: no bound
	Times     Times
}

// Times bound how long a server may take. Zero values mean the defaults.
type Times struct {
	Connect time.Duration // until it is ready, TLS and login included; default 60 s
	Step    time.Duration // for an answer; default 60 s
	Body    time.Duration // to take a mail's bytes; default 3 min
	Last    time.Duration // for the answer to the final dot; default 5 min
}

func (t Times) withDefaults() Times {
	set := func(value *time.Duration, to time.Duration) {
		if *value == 0 {
			*value = to
		}
	}
	set(&t.Connect, time.Minute)
	set(&t.Step, time.Minute)
	set(&t.Body, 3*time.Minute)
	set(&t.Last, 5*time.Minute)
	return t
}

// Domain is that of the sender's address.
func (s Server) Domain() string {
	for i := len(s.From.Address) - 1; i >= 0; i-- {
		if s.From.Address[i] == '@' {
			return s.From.Address[i+1:]
		}
	}
	return "localhost"
}

// conversation is a connection over which mails are given to the server, one after the other.
type conversation struct {
	client *smtp.Client
	times  Times
	used   bool // a mail has gone over it
}

// dial connects: TLS, verified, before anything is said that matters, then the login.
func (s Server) dial(ctx context.Context) (*conversation, error) {
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return nil, fmt.Errorf("mail server %s: %w", s.Address, err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("mail server %s: %w", s.Address, err)
	}
	times := s.Times.withDefaults()
	options := []gomail.Option{gomail.WithTimeout(times.Connect), gomail.WithoutNoop(), gomail.WithPort(number), gomail.WithTLSPolicy(gomail.TLSMandatory)}
	switch {
	case s.TLS == nil:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	case s.Implicit:
		options = append(options, gomail.WithSSL(), gomail.WithTLSConfig(s.TLS))
	default:
		options = append(options, gomail.WithTLSConfig(s.TLS))
	}
	if s.User != "" {
		kind := gomail.SMTPAuthAutoDiscover
		if s.TLS == nil { // on this host alone
			kind = gomail.SMTPAuthPlainNoEnc
		}
		options = append(options, gomail.WithSMTPAuth(kind), gomail.WithUsername(s.User), gomail.WithPassword(s.Password))
	}
	client, err := gomail.NewClient(host, options...)
	if err != nil {
		return nil, fmt.Errorf("mail server %s: %w", s.Address, err)
	}
	connection, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("mail server %s: %w", s.Address, err)
	}
	return &conversation{client: connection, times: times}, nil
}

// close says goodbye, briefly.
func (c *conversation) close() {
	if c == nil {
		return
	}
	if c.client.UpdateDeadline(2*time.Second) == nil {
		_ = c.client.Quit() // nothing depends on it
	}
	_ = c.client.Close()
}

// verdict is what the end of an attempt means.
type verdict struct {
	state   string        // Sent, Unknown, Failed; Queued: to be tried again
	reason  string        // what the server said
	wait    time.Duration // until it is tried again, at least
	broken  bool          // the connection is of no use any more
	ourself bool          // the server refuses us, not the customer
}

// offer names sender and recipient. A nil verdict means that the server takes them.
func (c *conversation) offer(from, to string) *verdict {
	if err := c.step(c.times.Step, func() error { return c.client.Mail("<" + from + ">") }); err != nil {
		v := c.judge("MAIL", err)
		if v.state == Failed { // we are what it does not want: that is nobody's mail's fault
			v.state, v.ourself = Queued, true
		}
		return v
	}
	if err := c.step(c.times.Step, func() error { return c.client.Rcpt("<" + to + ">") }); err != nil {
		return c.judge("RCPT", err)
	}
	return nil
}

// give hands the mail over. From the final dot on only an answer tells whether the server has it.
func (c *conversation) give(body []byte) *verdict {
	c.used = true
	if err := c.client.UpdateDeadline(c.times.Step); err != nil {
		return &verdict{state: Queued, reason: err.Error(), broken: true}
	}
	w, err := c.client.Data()
	if err != nil {
		return c.judge("DATA", err)
	}
	err = c.step(c.times.Body, func() error { _, err := w.Write(body); return err })
	if err != nil { // no dot was sent: by the protocol nothing is delivered
		return &verdict{state: Queued, reason: "connection lost while the mail was written: " + err.Error(), broken: true}
	}
	err = c.step(c.times.Last, w.Close)
	answer, answered := errors.AsType[*textproto.Error](err)
	switch {
	case err == nil || answered && answer.Code/100 == 2: // 250, or in other words that it has the mail
		return &verdict{state: Sent}
	case answered && answer.Code >= 400:
		return c.judge("the final dot", err)
	}
	return &verdict{state: Unknown, broken: true, reason: "the server was given the whole mail and did not answer: " + err.Error()}
}

func (c *conversation) step(most time.Duration, do func() error) error {
	if err := c.client.UpdateDeadline(most); err != nil {
		return err
	}
	return do()
}

// judge tells a server's answer from a connection that broke: 5xx is for good, 4xx and a broken connection are not.
func (c *conversation) judge(step string, err error) *verdict {
	answer, ok := errors.AsType[*textproto.Error](err)
	v := &verdict{state: Queued, reason: fmt.Sprintf("%s: %v", step, err)}
	switch {
	case !ok:
		v.broken = true
		if c.used {
			v.wait = -1 // a connection that was kept open may be closed by the server at any time
		}
	case answer.Code >= 500 && answer.Code < 600:
		v.state = Failed
	case answer.Code == 421: // it hangs up
		v.broken = true
	}
	if ok && !v.broken && step != "the final dot" && c.step(c.times.Step, c.client.Reset) != nil {
		v.broken = true
	}
	return v
}

// Check connects, logs in and names the sender, and sends nothing.
func (s Server) Check(ctx context.Context) error {
	c, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.step(c.times.Step, func() error { return c.client.Mail("<" + s.From.Address + ">") }); err != nil {
		return fmt.Errorf("mail server %s: it does not take %s as a sender: %w", s.Address, s.From.Address, err)
	}
	return nil
}

// SendSample sends a mail about an order that never was to somebody, outside the outbox.
func (l *Letters) SendSample(ctx context.Context, s Server, to string) error {
	letter, err := l.PreviewSample(Shipment, "it")
	if err != nil {
		return err
	}
	message, err := letter.message(s, to, messageID("sample "+time.Now().String(), s.Domain()))
	if err != nil {
		return err
	}
	return s.send(ctx, to, message)
}

// send gives the server a mail outside the outbox. Whatever leaves open that it was taken is an error.
func (s Server) send(ctx context.Context, to string, message []byte) error {
	c, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	v := c.offer(s.From.Address, to)
	if v == nil {
		v = c.give(message)
	}
	if v.state != Sent {
		return fmt.Errorf("mail server %s: %s", s.Address, v.reason)
	}
	return nil
}
