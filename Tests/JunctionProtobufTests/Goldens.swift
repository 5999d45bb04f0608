// Messages on the wire as Python's protobuf writes them: printed by Tests/Support/Shelf/goldens.py.

enum Golden {
    static let lowest = bytes(
        """
        09000000000000f8bf15000080be1880808080f8ffffffff01208080808080808080800138ffffffff0f40ffffffffff
        ffffffff015d000000806100000000000000806801720c5ac3bc7269636820f09f9a867a0300ff008001ffffffffffff
        ffffff01f8ffffff0f80808080f8ffffffff01
        """)
    static let highest = bytes(
        """
        099c7500883ce4377e150000807f18ffffffff0720ffffffffffffffff7f28ffffffff0f30ffffffffffffffffff0138
        feffffff0f40feffffffffffffffff014dffffffff51ffffffffffffffff5dffffff7f61ffffffffffffff7f68017201
        617a0180800103f8ffffff0fffffffff07
        """)
    static let lists = bytes(
        """
        0a100000000000000000000000000000f8bf12080000003f000000001a1180808080f8ffffffff010001ffffffff0722
        15808080808080808080010001ffffffffffffffff7f2a08000001ffffffff0f320d000001ffffffffffffffffff013a
        0cffffffff0f0002feffffff0f4216ffffffffffffffffff010002feffffffffffffffff014a10000000000000000001
        000000ffffffff5220000000000000000000000000000000000100000000000000ffffffffffffffff5a100000008000
        00000001000000ffffff7f6220000000000000008000000000000000000100000000000000ffffffffffffff7f6a0301
        000172007202c3a972017a7a007a010082010cffffffffffffffffff0100018a01008a01030a01629001009001ffffff
        ffffffffffff019001ac02
        """)
    static let unsaid = bytes(
        """
        9a010301ac02
        """)
    static let maps = bytes(
        """
        0a060a016b120176121008ffffffffffffffffff0112030a01621a0d080110ffffffffffffffffff01220e08ffffffff
        ffffffffff011201002a0e0dfeffffff11000000000000e03f32080a017212030a016e
        """)
    static let book = bytes(
        """
        0a017410011a070a01701202080222004800520058006200680072007a016d8201070a056c696e656e8a01030a0170
        """)
    static let soft = bytes(
        """
        2a0173
        """)
    static let asEdition = bytes(
        """
        3200
        """)
    static let asGenre = bytes(
        """
        3800
        """)
    static let noCover = bytes(
        """
        4000
        """)
    static let tree = bytes(
        """
        0a04726f6f7412030a016c1a001a030a016222080a016e12030a016e32050a030a01743a0042020a00
        """)
    static let words = bytes(
        """
        0a027731120277321a027733220277342a027735320277363a027737420277384a02773952037731305a037731316203
        7731326a0377313372037731347a037731358201037731368a01037731379001129a0100a2010166a80101b20100ba01
        0a0a016b12057768657265d20103773236d80100e0011cea01011df20103773330fa01037733318202037733328a020a
        0a016b1205656e7472799202090a016b12046974656d9a0203773335a20203773336aa0203773337b20200ba020127c2
        0203773430ca0203773431d20203773432da0203773433e20203773434ea0203773435f20203773436fa020377343782
        03037734388a0303773439
        """)
}
