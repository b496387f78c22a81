#!/usr/bin/env python3
"""Tests of the command line.

    run.py BINARY [unittest arguments]
"""
import os, sys, unittest

os.environ["LORAGRAD_BINARY"] = os.path.abspath(sys.argv.pop(1))
folder = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, folder)
unittest.main(module=None, argv=[sys.argv[0], "discover", "-s", folder, "-p", "test_*.py", "-v", *sys.argv[1:]])
