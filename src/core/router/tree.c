/* being written */ typedef int vv_stub_router_tree;
