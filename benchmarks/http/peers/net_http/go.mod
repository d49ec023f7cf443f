module net_http

go 1.21
