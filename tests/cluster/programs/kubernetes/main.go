// Command bench is every Kubernetes program the bench starts, in one binary.
//
// It acts as the program it is called as (a symbolic link per name), or as its
// first argument: one link step and one file on disk instead of seven.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	if !run(filepath.Base(os.Args[0])) && (len(os.Args) < 2 || !runNext()) {
		fmt.Fprintf(os.Stderr, "unknown program %q\n", filepath.Base(os.Args[0]))
		os.Exit(2)
	}
}

// runNext takes the first argument for the name of the program.
func runNext() bool {
	os.Args = os.Args[1:]
	return run(filepath.Base(os.Args[0]))
}

// run acts as the program of that name; false when there is none.
func run(name string) bool {
	switch name {
	case "etcd":
		etcdmain.Main(os.Args)
	case "volume-provisioner":
		mainVolumes(os.Args[1:])
	default:
		command := find(name)
		if command == nil {
			return false
		}
		os.Exit(cli.Run(command))
	}
	return true
}

// find returns the Kubernetes command of that name, nil when there is none.
func find(name string) *cobra.Command {
	switch name {
	case "kube-apiserver":
		return apiserver.NewAPIServerCommand()
	case "kube-controller-manager":
		return manager.NewControllerManagerCommand()
	case "kube-scheduler":
		return scheduler.NewSchedulerCommand()
	case "kubelet":
		return kubelet.NewKubeletCommand(context.Background())
	case "kube-proxy":
		return proxy.NewProxyCommand()
	case "kubectl":
		return kubectl.NewDefaultKubectlCommand()
	}
	return nil
}
