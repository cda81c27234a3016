// Go's own network library, in a static program: it makes its system calls itself.
//
//	peers serve TEXT     HTTP on port 80 of every address (a socket for both families, MPTCP where Go uses it)
//	peers ask NAME       print the answer
//	peers udp TEXT       answer datagrams on port 53
//	peers udp-ask NAME   print the answer and its sender
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func main() {
	switch os.Args[1] {
	case "serve":
		listener, err := net.Listen("tcp", ":80")
		check(err)
		fmt.Println("listening", listener.Addr())
		check(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			fmt.Fprintln(w, os.Args[2], "from", host)
		})))
	case "ask":
		answer, err := http.Get("http://" + os.Args[2] + "/")
		check(err)
		_, err = io.Copy(os.Stdout, answer.Body)
		check(err)
	case "udp":
		socket, err := net.ListenPacket("udp", ":53")
		check(err)
		fmt.Println("listening", socket.LocalAddr())
		for {
			buffer := make([]byte, 100)
			_, from, err := socket.ReadFrom(buffer)
			check(err)
			_, err = socket.WriteTo([]byte(os.Args[2]), from)
			check(err)
		}
	case "udp-ask":
		socket, err := net.Dial("udp", os.Args[2]+":53")
		check(err)
		check(socket.SetDeadline(time.Now().Add(10 * time.Second)))
		_, err = socket.Write([]byte("?"))
		check(err)
		buffer := make([]byte, 100)
		n, err := socket.Read(buffer)
		check(err)
		fmt.Println(string(buffer[:n]))
	}
}
